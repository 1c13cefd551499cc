-- Every run has an id, and no two have the same.
select
    runs.run_id,
    count(*) as row_count
from m3ter_staging.integration_runs as runs
group by runs.run_id
having count(*) > 1 or runs.run_id is null
