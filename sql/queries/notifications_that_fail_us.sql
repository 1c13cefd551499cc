-- Which active notifications do not do their work, and why?
select
    notification.coverage_status,
    notification.notification_name,
    notification.event_name,
    notification.link_count,
    notification.last_run_at,
    notification.last_succeeded_at
from m3ter.notification_coverage as notification
where notification.coverage_status not in ('delivering', 'deleted', 'inactive')
order by notification.coverage_status, notification.notification_name
