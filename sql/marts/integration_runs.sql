-- Grain: one row per integration run, as m3ter stores it.
-- For: looking up what happened to a bill or a notification, run by run.
select
    runs.run_id, -- The run.
    coalesce(roots.root_run_id, runs.run_id) as delivery_id, -- The delivery it belongs to: id of the run at the head of its chain. With entity, destination and destination_id the key of integration_deliveries.
    runs.parent_run_id, -- The run that this one repeats or continues, as m3ter says; it need not be known.
    runs.entity_type, -- Bill or Notification.
    runs.entity_id, -- The bill or the notification configuration that was sent.
    runs.destination, -- Kind of system it was sent to, such as NETSUITE.
    runs.destination_id, -- Which system of that kind.
    runs.status, -- Status as m3ter writes it.
    runs.run_class, -- What the status means: succeeded, failed, superseded, blocked, in_flight, unknown.
    runs.error, -- What the destination or m3ter said of a failure.
    runs.url, -- Where it landed in the destination.
    runs.external_id, -- Its id in the destination.
    runs.version, -- Rises with every change of the run.
    m3ter_staging.seconds_between(runs.created_at, runs.started_at) as queue_seconds, -- Seconds from being made to starting.
    m3ter_staging.seconds_between(runs.started_at, runs.completed_at) as run_seconds, -- Seconds from starting to ending.
    runs.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX).
    m3ter_staging.utc_day(runs.attempted_at) as started_on, -- UTC day on which it started or, not started, was made. The failure rates count a run on the day of its delivery instead.
    runs.created_at, -- When m3ter made the run.
    runs.started_at, -- When it started; NULL while it waits.
    runs.completed_at, -- When it ended; NULL while it is in flight.
    runs.modified_at -- When it last changed.
from m3ter_staging.integration_runs as runs
left join m3ter_staging.run_roots as roots on runs.run_id = roots.run_id
