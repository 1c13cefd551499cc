-- Grain: one row per run that has been in flight for longer than 24 hours (setting stuck_after_hours) when the last sync that succeeded began.
-- For: chasing what neither succeeds nor fails, which no failure rate shows.

-- Columns that say nothing here are explained in m3ter_staging.integration_runs.
select
    runs.run_id,
    coalesce(roots.root_run_id, runs.run_id) as delivery_id, -- The delivery it belongs to: id of the run at the head of its chain.
    runs.entity_type,
    runs.entity_id,
    runs.destination,
    runs.destination_id,
    runs.status,
    runs.error,
    m3ter_staging.seconds_between(runs.attempted_at, now_is.as_of) as in_flight_seconds, -- Seconds since it started or, not started, was made.
    runs.is_sandbox,
    runs.created_at,
    runs.started_at,
    runs.modified_at
from m3ter_staging.integration_runs as runs
cross join m3ter_staging.as_of as now_is
cross join m3ter_staging.settings as given
left join m3ter_staging.run_roots as roots on runs.run_id = roots.run_id
where
    runs.run_class = 'in_flight'
    and m3ter_staging.seconds_between(runs.attempted_at, now_is.as_of) > given.stuck_after_hours * 3600
