-- What is stuck: neither delivered nor failed for too long?
-- Sandbox destinations are left out.
select
    run.run_id,
    run.entity_type,
    run.entity_id,
    run.destination,
    run.status,
    run.in_flight_seconds / 3600 as in_flight_hours
from m3ter.stuck_runs as run
where not run.is_sandbox
order by run.in_flight_seconds desc
