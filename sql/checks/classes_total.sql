-- In every row of the failure views the classes add up to the whole.
with
rows_to_check as (
    select
        'integration_failure_rate_daily' as mart,
        cast(daily.started_on as varchar) as span,
        daily.entity_type,
        daily.destination,
        daily.delivery_count,
        daily.succeeded_delivery_count,
        daily.failed_delivery_count,
        daily.blocked_delivery_count,
        daily.superseded_delivery_count,
        daily.in_flight_delivery_count,
        daily.unknown_delivery_count,
        daily.run_count,
        daily.succeeded_run_count,
        daily.failed_run_count,
        daily.blocked_run_count,
        daily.superseded_run_count,
        daily.in_flight_run_count,
        daily.unknown_run_count
    from m3ter.integration_failure_rate_daily as daily
    union all
    select
        'integration_failure_rate' as mart,
        windows.window_name as span,
        windows.entity_type,
        windows.destination,
        windows.delivery_count,
        windows.succeeded_delivery_count,
        windows.failed_delivery_count,
        windows.blocked_delivery_count,
        windows.superseded_delivery_count,
        windows.in_flight_delivery_count,
        windows.unknown_delivery_count,
        windows.run_count,
        windows.succeeded_run_count,
        windows.failed_run_count,
        windows.blocked_run_count,
        windows.superseded_run_count,
        windows.in_flight_run_count,
        windows.unknown_run_count
    from m3ter.integration_failure_rate as windows
)

select
    counted.mart,
    counted.span,
    counted.entity_type,
    counted.destination,
    counted.delivery_count,
    counted.run_count
from rows_to_check as counted
where
    counted.delivery_count
    != counted.succeeded_delivery_count + counted.failed_delivery_count + counted.blocked_delivery_count
    + counted.superseded_delivery_count + counted.in_flight_delivery_count + counted.unknown_delivery_count
    or counted.run_count
    != counted.succeeded_run_count + counted.failed_run_count + counted.blocked_run_count
    + counted.superseded_run_count + counted.in_flight_run_count + counted.unknown_run_count
