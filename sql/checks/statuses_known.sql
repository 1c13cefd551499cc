-- Every status is in status_class; one that is not is counted as unknown until it is added to sql/reference/status_class.csv.
select
    runs.status,
    count(*) as run_count,
    min(runs.attempted_at) as first_at
from m3ter_staging.integration_runs as runs
where runs.run_class = 'unknown'
group by runs.status
