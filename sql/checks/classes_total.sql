-- In every row of the failure views the classes add up to the whole.
with
rows_to_check as (
    select
        'integration_failure_rate_daily' as mart,
        cast(daily.started_on as varchar) as span,
        daily.*
    from m3ter.integration_failure_rate_daily as daily
    union all by name
    select
        'integration_failure_rate' as mart,
        windows.window_name as span,
        windows.*
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
