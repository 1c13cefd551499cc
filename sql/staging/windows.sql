-- Grain: one row per window of time that a rate is given for.
-- For: integration_failure_rate. A window holds what began after its start, up to and with its end.
with lengths as (
    select distinct listed.window_days
    from m3ter_staging.settings as given
    cross join unnest(given.window_days) as listed (window_days)
)

select
    cast(lengths.window_days as varchar) || 'd' as window_name, -- Its length in days, such as 7d; all is everything that is loaded.
    lengths.window_days, -- Its length in days; NULL for all.
    m3ter_staging.minus_days(now_is.as_of, lengths.window_days) as starts_after, -- What began at this instant or before is outside the window; NULL for all.
    now_is.as_of as ends_at -- The last instant of the window: as_of, the start of the last sync that succeeded; NULL for all.
from m3ter_staging.as_of as now_is
cross join lengths
where now_is.as_of is not null
union all
select
    'all' as window_name,
    null as window_days,
    null as starts_after,
    null as ends_at
