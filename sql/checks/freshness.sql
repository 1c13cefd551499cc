-- The last sync that succeeded is not longer ago than the setting stale_after_hours.
select
    now_is.as_of as last_succeeded_started_at,
    given.stale_after_hours,
    m3ter_staging.seconds_between(now_is.as_of, getvariable('m3ter_now')) / 3600 as hours_since
from m3ter_staging.as_of as now_is
cross join m3ter_staging.settings as given
where m3ter_staging.seconds_between(now_is.as_of, getvariable('m3ter_now')) > given.stale_after_hours * 3600
