-- Are retries worth it?
-- Of the deliveries whose first attempt failed, how many were tried again, how many succeeded in the end, and how
-- long that took; sandbox destinations are left out.
with
retries as (
    select
        delivery.entity_type,
        delivery.destination,
        count(*) filter (where delivery.attempt_count > 1) as retried_count,
        quantile_cont(delivery.seconds_to_recover, 0.5) as median_seconds_to_recover
    from m3ter.integration_deliveries as delivery
    where delivery.first_attempt_failed
    group by delivery.entity_type, delivery.destination
)

select
    rate.entity_type,
    rate.destination,
    rate.first_attempt_failed_count,
    retries.retried_count,
    rate.recovered_count,
    rate.recovery_rate,
    rate.recovery_rate_low,
    rate.recovery_rate_high,
    retries.median_seconds_to_recover
from m3ter.integration_failure_rate as rate
inner join retries on rate.entity_type = retries.entity_type and rate.destination = retries.destination
where rate.window_name = 'all' and not rate.is_sandbox
order by rate.first_attempt_failed_count desc
