-- Grain: one row per UTC day and event type that was live at its end.
-- For: was anyone listening on the day it failed? Links to destinations have no part in it: the steps are C1, C2, and C4 without links.
-- It begins with the first sync: what was configured before is not known.
-- Materialized: table
with
notifications as (
    select
        versions.event_name,
        versions.is_active,
        versions.always_fires,
        m3ter_staging.utc_time(versions.valid_from_at) as valid_from,
        m3ter_staging.utc_time(versions.valid_to_at) as valid_to
    from m3ter_staging.notification_configurations as versions
),

event_types as (
    select
        versions.event_type,
        versions.is_critical,
        m3ter_staging.utc_time(versions.valid_from_at) as valid_from,
        m3ter_staging.utc_time(versions.valid_to_at) as valid_to
    from m3ter_staging.event_types as versions
),

bounds as (
    select
        cast(max(seen.valid_from) as date) as last_loaded_on,
        cast(min(seen.valid_from) as date) as first_on
    from (
        select notifications.valid_from from notifications
        union all
        select event_types.valid_from from event_types
    ) as seen
),

days as (
    select
        unnest(
            generate_series(
                cast(bounds.first_on as timestamp),
                cast(coalesce(m3ter_staging.utc_day(now_is.as_of), bounds.last_loaded_on) as timestamp),
                to_days(1)
            )
        ) as day_start
    from bounds
    cross join m3ter_staging.as_of as now_is
),

counts as (
    select
        days.day_start,
        event_types.event_type,
        event_types.is_critical,
        count(notifications.event_name) as notification_count,
        count(*) filter (where notifications.is_active) as active_notification_count,
        count(*) filter (
            where notifications.is_active and notifications.always_fires
        ) as unconditional_notification_count
    from days
    inner join event_types
        on
            event_types.valid_from < days.day_start + to_days(1)
            and (event_types.valid_to is null or event_types.valid_to >= days.day_start + to_days(1))
    left join notifications
        on
            event_types.event_type = notifications.event_name
            and notifications.valid_from < days.day_start + to_days(1)
            and (notifications.valid_to is null or notifications.valid_to >= days.day_start + to_days(1))
    group by days.day_start, event_types.event_type, event_types.is_critical
),

known as (
    select
        counts.*,
        loaded.has_notifications
    from counts
    cross join m3ter_staging.loaded as loaded
)

select
    cast(known.day_start as date) as covered_on, -- The UTC day; the row tells how things stood at its end, on the last day how the last sync saw them.
    known.event_type, -- The event type.
    case when known.has_notifications then known.notification_count end as notification_count, -- Notifications on it; NULL: they were not loaded.
    case when known.has_notifications then known.active_notification_count end as active_notification_count, -- Of these, active.
    case when known.has_notifications then known.unconditional_notification_count end as unconditional_notification_count, -- Of these, active and firing always.
    known.is_critical, -- Money or data stops when nobody hears of it.
    case when known.has_notifications then known.notification_count > 0 end as is_configured, -- C1.
    case when known.has_notifications then known.active_notification_count > 0 end as is_active, -- C2.
    case when known.has_notifications then known.unconditional_notification_count > 0 end as is_unconditional_without_links -- C4, were every active notification linked.
from known
