-- What share of our pushes fails, by destination, and is that worse than before?
-- The last 28 days beside the 28 days before them; sandbox destinations are left out.
select
    rate.entity_type,
    rate.destination,
    rate.decided_delivery_count,
    rate.failed_delivery_count,
    rate.delivery_failure_rate,
    rate.delivery_failure_rate_low,
    rate.delivery_failure_rate_high,
    rate.previous_delivery_failure_rate,
    rate.is_significant_change
from m3ter.integration_failure_rate as rate
where rate.window_name = '28d' and not rate.is_sandbox
order by rate.delivery_failure_rate desc nulls last
