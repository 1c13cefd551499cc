-- Are retries worth it?
-- Of the deliveries whose first attempt failed, how many succeeded in the end, and how long that took.
select
    delivery.destination,
    count(*) as first_attempt_failed_count,
    count(*) filter (where delivery.attempt_count > 1) as retried_count,
    count(*) filter (where delivery.is_recovered) as recovered_count,
    count(*) filter (where delivery.is_recovered) / count(*) as recovery_rate,
    median(delivery.seconds_to_recover) as median_seconds_to_recover
from m3ter.integration_deliveries as delivery
where delivery.first_attempt_failed and not delivery.is_sandbox
group by delivery.destination
order by first_attempt_failed_count desc
