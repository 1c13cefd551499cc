-- Grain: one row per integration run, as m3ter stores it.
-- For: the marts; renamed, typed and classed once.
select
    cast(runs.id as varchar) as run_id, -- The run.
    cast(runs.entity_type as varchar) as entity_type, -- Bill or Notification.
    cast(runs.entity_id as varchar) as entity_id, -- The bill or the notification configuration that was sent.
    cast(runs.destination as varchar) as destination, -- Kind of system it was sent to, such as NETSUITE.
    cast(runs.destination_id as varchar) as destination_id, -- Which system of that kind.
    cast(runs.parent_integration_run_id as varchar) as parent_run_id, -- The run that this one repeats or continues, as m3ter says; it need not be known.
    cast(runs.status as varchar) as status, -- Status as m3ter writes it.
    coalesce(classes.class, 'unknown') as run_class, -- What the status means: succeeded, failed, superseded, blocked, in_flight; unknown when m3ter_staging.status_class does not list it.
    cast(runs.error as varchar) as error, -- What the destination or m3ter said of a failure.
    cast(runs.url as varchar) as url, -- Where it landed in the destination.
    cast(runs.external_id as varchar) as external_id, -- Its id in the destination.
    cast(runs.version as bigint) as version, -- Rises with every change of the run.
    m3ter_staging.is_sandbox_destination(runs.destination) as is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX).
    cast(runs.dt_created as timestamptz) as created_at, -- When m3ter made the run.
    cast(runs.dt_started as timestamptz) as started_at, -- When it began; NULL while it waits.
    cast(runs.dt_completed as timestamptz) as completed_at, -- When it ended; NULL while it is in flight.
    cast(runs.dt_last_modified as timestamptz) as modified_at, -- When it last changed.
    coalesce(cast(runs.dt_started as timestamptz), cast(runs.dt_created as timestamptz)) as attempted_at, -- When it began or, not begun, was made: the instant that every day and window goes by.
    m3ter_staging.load_time(runs._dlt_load_id) as loaded_at -- When the load began that brought the row as it is.
from m3ter_raw.integration_runs as runs
left join m3ter_staging.status_class as classes on runs.status = classes.status
