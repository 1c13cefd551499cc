-- No run starts before it was made or ends before it starts.
select
    runs.run_id,
    runs.entity_type,
    runs.entity_id,
    runs.destination,
    runs.created_at,
    runs.started_at,
    runs.completed_at
from m3ter_staging.integration_runs as runs
where runs.started_at < runs.created_at or runs.completed_at < runs.started_at
