-- Which error should we fix first?
-- Kinds of errors (ids, numbers and dates masked) by how many bills and notifications they hit.
select
    error.error_template,
    error.entity_count,
    error.failed_run_count,
    error.destinations,
    error.is_new,
    error.first_seen_at,
    error.last_seen_at,
    error.example_error
from m3ter.integration_error_groups as error
order by error.entity_count desc, error.failed_run_count desc
limit 10
