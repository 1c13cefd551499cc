-- A sync that succeeded began within the last stale_after_hours (a setting). Until the first one does, the time
-- runs from the first sync of all; without any sync nothing is fresh. One that began as far in the future is no proof.
with
log as (
    select
        max(syncs.sync_number) filter (where syncs.outcome = 'succeeded') as last_succeeded_number,
        min(syncs.started_at) as first_started_at
    from m3ter_staging.syncs as syncs
),

ages as (
    select
        last_succeeded.started_at as last_succeeded_started_at,
        log.first_started_at,
        m3ter_staging.seconds_between(
            coalesce(last_succeeded.started_at, log.first_started_at), getvariable('m3ter_now')
        ) / 3600 as hours_since
    from log
    left join m3ter_staging.syncs as last_succeeded on log.last_succeeded_number = last_succeeded.sync_number
)

select
    ages.last_succeeded_started_at,
    ages.first_started_at,
    ages.hours_since,
    given.stale_after_hours
from ages
cross join m3ter_staging.settings as given
where not coalesce(abs(ages.hours_since) <= given.stale_after_hours, false)
