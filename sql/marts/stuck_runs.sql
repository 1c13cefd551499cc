-- Grain: one row per run that has been in flight for longer than 24 hours (setting stuck_after_hours) when the last sync that succeeded began.
-- For: chasing what neither succeeds nor fails, which no failure rate shows.
select
    runs.run_id, -- The run.
    coalesce(roots.root_run_id, runs.run_id) as delivery_id, -- The delivery it belongs to.
    runs.entity_type, -- Bill or Notification.
    runs.entity_id, -- The bill or the notification configuration that is being sent.
    runs.destination, -- Kind of system it is sent to.
    runs.destination_id, -- Which system of that kind.
    runs.status, -- Status as m3ter writes it.
    runs.error, -- What was last said of it.
    m3ter_staging.seconds_between(runs.attempted_at, now_is.as_of) as in_flight_seconds, -- Seconds since it started or, not started, was made.
    runs.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX).
    runs.created_at, -- When m3ter made it.
    runs.started_at, -- When it started; NULL while it waits.
    runs.modified_at -- When it last changed.
from m3ter_staging.integration_runs as runs
cross join m3ter_staging.as_of as now_is
cross join m3ter_staging.settings as given
left join m3ter_staging.run_roots as roots on runs.run_id = roots.run_id
where
    runs.run_class = 'in_flight'
    and m3ter_staging.seconds_between(runs.attempted_at, now_is.as_of) > given.stuck_after_hours * 3600
