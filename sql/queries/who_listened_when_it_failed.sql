-- Was anyone listening on the days when deliveries failed?
-- From the history of the notification configurations; days before the first sync are not known.
with coverage as (
    select
        covered.covered_on,
        count(*) filter (where covered.is_active) as active_event_type_count
    from m3ter.notification_coverage_daily as covered
    where covered.event_type like 'integration.%.error'
    group by covered.covered_on
)

select
    daily.started_on,
    sum(daily.failed_delivery_count) as failed_delivery_count,
    max(coverage.active_event_type_count) as active_event_type_count
from m3ter.integration_failure_rate_daily as daily
inner join coverage on daily.started_on = coverage.covered_on
where not daily.is_sandbox
group by daily.started_on
order by daily.started_on desc
