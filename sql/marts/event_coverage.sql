-- Grain: one row per live event type of the organization.
-- For: finding what can happen without anyone being told.
-- Materialized: table
with
counts as (
    select
        live.event_type,
        live.is_critical,
        count(notifications.notification_id) as notification_count,
        count(*) filter (where notifications.is_active) as active_notification_count,
        count(*) filter (where notifications.is_deliverable) as deliverable_notification_count,
        count(*) filter (where notifications.is_unconditional) as unconditional_notification_count,
        count(*) filter (where notifications.is_proven) as proven_notification_count
    from m3ter_staging.event_types as live
    left join m3ter.notification_coverage as notifications
        on live.event_type = notifications.event_name and not notifications.is_deleted
    where live.is_current
    group by live.event_type, live.is_critical
),

known as (
    select
        counts.event_type,
        counts.is_critical,
        -- What was never loaded is NULL, and so is all that depends on it.
        case when loaded.has_notifications then counts.notification_count end as notification_count,
        case when loaded.has_notifications then counts.active_notification_count end as active_notification_count,
        case
            when loaded.has_notifications and loaded.has_links then counts.deliverable_notification_count
        end as deliverable_notification_count,
        case
            when loaded.has_notifications and loaded.has_links then counts.unconditional_notification_count
        end as unconditional_notification_count,
        case
            when loaded.has_notifications and loaded.has_links and loaded.has_runs and now_is.as_of is not null
                then counts.proven_notification_count
        end as proven_notification_count
    from counts
    cross join m3ter_staging.loaded as loaded
    cross join m3ter_staging.as_of as now_is
)

select
    known.event_type, -- The event type, such as billing.bill.created.
    case
        when known.proven_notification_count > 0 then 'C5'
        when known.deliverable_notification_count > 0 and known.proven_notification_count is null then null
        when known.unconditional_notification_count > 0 then 'C4'
        when known.deliverable_notification_count > 0 then 'C3'
        when known.active_notification_count > 0 and known.deliverable_notification_count is null then null
        when known.active_notification_count > 0 then 'C2'
        when known.notification_count > 0 then 'C1'
    end as highest_step, -- The highest step of the ladder that a notification on it reaches: C1 configured, C2 active, C3 deliverable, C4 unconditional, C5 proven; NULL: none, or not known.
    known.notification_count, -- Notifications on it.
    known.active_notification_count, -- Of these, active.
    known.deliverable_notification_count, -- Of these, linked by an integration configuration that is enabled and not unauthorized.
    known.unconditional_notification_count, -- Of these, firing always.
    known.proven_notification_count, -- Of the deliverable ones, with a run that succeeded lately.
    known.is_critical, -- Money or data stops when nobody hears of it: integration.*.error, ingest.validation.failure, dataexport.job.failure.
    known.notification_count > 0 as is_configured, -- C1.
    known.active_notification_count > 0 as is_active, -- C2.
    known.deliverable_notification_count > 0 as is_deliverable, -- C3, the headline.
    known.unconditional_notification_count > 0 as is_unconditional, -- C4: within C3.
    known.proven_notification_count > 0 as is_proven -- C5: within C3.
from known
