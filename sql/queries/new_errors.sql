-- Which errors have we never seen before last week?
select
    error.error_template,
    error.run_count,
    error.destinations,
    error.first_seen_at,
    error.example_error
from m3ter.integration_error_groups as error
where error.is_new
order by error.run_count desc
