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
        m3ter_staging.utc_day(versions.valid_from_at) as valid_from_on,
        m3ter_staging.utc_day(versions.valid_to_at) as valid_to_on
    from m3ter_staging.notification_configurations as versions
),

event_types as (
    select
        versions.event_type,
        versions.is_critical,
        m3ter_staging.utc_day(versions.valid_from_at) as valid_from_on,
        m3ter_staging.utc_day(versions.valid_to_at) as valid_to_on
    from m3ter_staging.event_types as versions
),

loaded_days as (
    select
        min(seen.valid_from_on) as first_on,
        max(seen.valid_from_on) as last_on
    from (
        select notifications.valid_from_on from notifications
        union all
        select event_types.valid_from_on from event_types
    ) as seen
),

bounds as (
    select
        loaded_days.first_on,
        coalesce(m3ter_staging.utc_day(now_is.as_of), loaded_days.last_on) as last_on
    from loaded_days
    cross join m3ter_staging.as_of as now_is
),

-- Every engine has a series of its own way; ten digits in five places are 273 years of days in each.
digits as (
    select listed.digit
    from (values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) as listed (digit)
),

numbers as (
    select cast(a.digit + 10 * b.digit + 100 * c.digit + 1000 * d.digit + 10000 * e.digit as integer) as number
    from digits as a
    cross join digits as b
    cross join digits as c
    cross join digits as d
    cross join digits as e
),

days as (
    select bounds.first_on + numbers.number as covered_on
    from bounds
    cross join numbers
    where bounds.first_on + numbers.number <= bounds.last_on
),

-- What began on a day was there at its end, what ended on it was not.
counts as (
    select
        days.covered_on,
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
            days.covered_on >= event_types.valid_from_on
            and (event_types.valid_to_on is null or days.covered_on < event_types.valid_to_on)
    left join notifications
        on
            event_types.event_type = notifications.event_name
            and days.covered_on >= notifications.valid_from_on
            and (notifications.valid_to_on is null or days.covered_on < notifications.valid_to_on)
    group by days.covered_on, event_types.event_type, event_types.is_critical
),

known as (
    select
        counts.*,
        loaded.has_notifications
    from counts
    cross join m3ter_staging.loaded as loaded
)

select
    known.covered_on, -- The UTC day; the row tells how things stood at its end, on the last day how the last sync saw them.
    known.event_type, -- The event type.
    case when known.has_notifications then known.notification_count end as notification_count, -- Notifications on it; NULL: they were not loaded.
    case when known.has_notifications then known.active_notification_count end as active_notification_count, -- Of these, active.
    case when known.has_notifications then known.unconditional_notification_count end as unconditional_notification_count, -- Of these, active and firing always.
    known.is_critical, -- Money or data stops when nobody hears of it.
    case when known.has_notifications then known.notification_count > 0 end as is_configured, -- C1.
    case when known.has_notifications then known.active_notification_count > 0 end as is_active, -- C2.
    case when known.has_notifications then known.unconditional_notification_count > 0 end as is_unconditional_without_links -- C4, were every active notification linked.
from known
