-- Would we have been told?
-- Each incident at a destination, and whether a notification on integration errors could have reached anyone as things are now.
-- Sandbox destinations and single failures are left out.
with listeners as (
    select count(*) filter (where type_of_event.is_deliverable) as deliverable_event_count
    from m3ter.event_coverage as type_of_event
    where type_of_event.event_type like 'integration.%.error'
)

select
    incident.destination,
    incident.destination_id,
    incident.entity_type,
    incident.started_at,
    incident.ended_at,
    incident.is_open,
    incident.failed_delivery_count,
    incident.entity_count,
    listeners.deliverable_event_count,
    listeners.deliverable_event_count > 0 as would_have_been_told
from m3ter.integration_incidents as incident
cross join listeners
where not incident.is_sandbox and incident.failed_delivery_count > 1
order by incident.started_at desc
