-- No run is lost or counted twice on its way from staging into the runs, the deliveries and the failure rates.
with
staged as (
    select count(*) as run_count
    from m3ter_staging.integration_runs
),

counted as (
    select
        'integration_runs' as mart,
        count(*) as run_count
    from m3ter.integration_runs
    union all
    select
        'integration_deliveries' as mart,
        sum(deliveries.attempt_count) as run_count
    from m3ter.integration_deliveries as deliveries
    union all
    select
        'integration_failure_rate_daily' as mart,
        sum(daily.run_count) as run_count
    from m3ter.integration_failure_rate_daily as daily
    union all
    select
        'integration_failure_rate' as mart,
        sum(windows.run_count) as run_count
    from m3ter.integration_failure_rate as windows
    where windows.window_name = 'all'
)

select
    counted.mart,
    coalesce(counted.run_count, 0) as run_count,
    staged.run_count as expected_run_count
from counted
cross join staged
where coalesce(counted.run_count, 0) != staged.run_count
