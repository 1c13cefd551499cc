-- No delivery is lost or counted twice on its way into the failure rates and the states of bills.
with
listed as (
    select
        count(*) as delivery_count,
        count(*) filter (where deliveries.entity_type = 'Bill') as bill_delivery_count
    from m3ter.integration_deliveries as deliveries
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
    union all
    select
        'bill_delivery_status' as mart,
        sum(bills.delivery_count) as delivery_count
    from m3ter.bill_delivery_status as bills
),

compared as (
    select
        counted.mart,
        coalesce(counted.delivery_count, 0) as delivery_count,
        case
            when counted.mart = 'bill_delivery_status' then listed.bill_delivery_count
            else listed.delivery_count
        end as expected_delivery_count
    from counted
    cross join listed
)

select
    compared.mart,
    compared.delivery_count,
    compared.expected_delivery_count
from compared
where compared.delivery_count != compared.expected_delivery_count
