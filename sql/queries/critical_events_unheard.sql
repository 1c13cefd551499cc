-- Which critical events would nobody hear of, and how far does each get?
select
    type_of_event.event_type,
    type_of_event.highest_step,
    type_of_event.notification_count,
    type_of_event.active_notification_count
from m3ter.event_coverage as type_of_event
where type_of_event.is_critical and not coalesce(type_of_event.is_deliverable, false)
order by type_of_event.event_type
