-- The parent of every run is loaded; where it is not, the run counts as the root of its delivery.
select
    runs.run_id,
    runs.parent_run_id,
    runs.entity_type,
    runs.entity_id,
    runs.attempted_at
from m3ter_staging.integration_runs as runs
where
    runs.parent_run_id is not null
    and not exists (
        select 1 from m3ter_staging.integration_runs as parents
        where parents.run_id = runs.parent_run_id
    )
