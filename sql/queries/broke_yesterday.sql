-- What broke yesterday that worked the day before?
-- Yesterday is the last whole UTC day before the last sync that succeeded; sandbox destinations are left out.
with days as (
    select cast(make_timestamp(epoch_us(max(status.as_of))) as date) - 1 as yesterday
    from m3ter.sync_status as status
)

select
    daily.entity_type,
    daily.destination,
    daily.failed_delivery_count,
    daily.decided_delivery_count,
    daily.delivery_failure_rate,
    daily.delivery_failure_rate_low,
    daily.delivery_failure_rate_high,
    day_before.decided_delivery_count as decided_delivery_count_before
from m3ter.integration_failure_rate_daily as daily
cross join days
inner join m3ter.integration_failure_rate_daily as day_before
    on
        daily.entity_type = day_before.entity_type
        and daily.destination = day_before.destination
        and day_before.started_on = days.yesterday - 1
where
    daily.started_on = days.yesterday
    and not daily.is_sandbox
    and daily.failed_delivery_count > 0
    and day_before.failed_delivery_count = 0
    and day_before.succeeded_delivery_count > 0
order by daily.failed_delivery_count desc
