-- Grain: one row per integration run, as m3ter stores it.
-- For: looking up what happened to a bill or a notification, run by run.

-- Columns that say nothing here are explained in m3ter_staging.integration_runs.
select
    runs.run_id,
    coalesce(roots.root_run_id, runs.run_id) as delivery_id, -- The delivery it belongs to: id of the run at the head of its chain; with entity, destination and destination_id the key of integration_deliveries.
    runs.parent_run_id,
    runs.entity_type,
    runs.entity_id,
    runs.destination,
    runs.destination_id,
    runs.status,
    runs.run_class,
    runs.error,
    runs.url,
    runs.external_id,
    runs.version,
    m3ter_staging.seconds_between(runs.created_at, runs.started_at) as queue_seconds, -- Seconds from being made to starting.
    m3ter_staging.seconds_between(runs.started_at, runs.completed_at) as run_seconds, -- Seconds from starting to ending.
    runs.is_sandbox,
    m3ter_staging.utc_day(runs.attempted_at) as started_on, -- UTC day on which it started or, not started, was made. The failure rates count a run on the day of its delivery instead.
    runs.created_at,
    runs.started_at,
    runs.completed_at,
    runs.modified_at
from m3ter_staging.integration_runs as runs
left join m3ter_staging.run_roots as roots on runs.run_id = roots.run_id
