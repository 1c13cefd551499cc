-- No delivery is lost or counted twice on its way into the failure rates.
with
listed as (
    select count(*) as delivery_count
    from m3ter.integration_deliveries
),

counted as (
    select
        'integration_failure_rate_daily' as mart,
        sum(daily.delivery_count) as delivery_count
    from m3ter.integration_failure_rate_daily as daily
    union all
    select
        'integration_failure_rate' as mart,
        sum(windows.delivery_count) as delivery_count
    from m3ter.integration_failure_rate as windows
    where windows.window_name = 'all'
)

select
    counted.mart,
    coalesce(counted.delivery_count, 0) as delivery_count,
    listed.delivery_count as expected_delivery_count
from counted
cross join listed
where coalesce(counted.delivery_count, 0) != listed.delivery_count
