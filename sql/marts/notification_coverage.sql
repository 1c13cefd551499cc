-- Grain: one row per notification configuration that was ever listed, deleted ones included.
-- For: whoever must know whether a notification would reach anyone, and why not.
-- Sandbox destinations are left out unless the setting counts_sandbox says otherwise.
-- Materialized: table
with
given as (
    select
        choices.counts_sandbox,
        now_is.as_of,
        m3ter_staging.minus_days(now_is.as_of, choices.silent_after_days) as recent_after
    from m3ter_staging.settings as choices
    cross join m3ter_staging.as_of as now_is
),

placed_versions as (
    select
        versions.*,
        not versions.is_current as is_deleted,
        row_number() over (
            partition by versions.notification_id
            order by
                versions.is_current desc,
                versions.valid_from_at desc nulls last,
                versions.version desc nulls last
        ) as place
    from m3ter_staging.notification_configurations as versions
),

notifications as (
    select placed_versions.*
    from placed_versions
    where placed_versions.place = 1
),

event_types as (
    select live.event_type
    from m3ter_staging.event_types as live
    where live.is_current
),

links as (
    select
        versions.entity_id as notification_id,
        count(*) filter (where given.counts_sandbox or not versions.is_sandbox) as link_count,
        count(*) filter (where (given.counts_sandbox or not versions.is_sandbox) and versions.is_enabled and versions.is_authorized) as deliverable_link_count,
        count(*) filter (where versions.is_sandbox) as sandbox_link_count
    from m3ter_staging.integration_configurations as versions
    cross join given
    where versions.is_current and versions.entity_type = 'Notification'
    group by versions.entity_id
),

sent as (
    select
        runs.entity_id as notification_id,
        runs.run_class,
        runs.attempted_at,
        -- As every window, this one ends with as_of: what the sync met after its start is the next one's.
        runs.attempted_at > given.recent_after and runs.attempted_at <= given.as_of as is_recent
    from m3ter_staging.integration_runs as runs
    cross join given
    where runs.entity_type = 'Notification' and (given.counts_sandbox or not runs.is_sandbox)
),

runs as (
    select
        sent.notification_id,
        count(*) as run_count,
        count(*) filter (where sent.is_recent) as recent_run_count,
        count(*) filter (where sent.is_recent and sent.run_class = 'succeeded') as recent_succeeded_run_count,
        max(sent.attempted_at) as last_run_at
    from sent
    group by sent.notification_id
),

placed_deliveries as (
    select
        deliveries.entity_id as notification_id,
        deliveries.delivery_class,
        deliveries.last_succeeded_at,
        row_number() over (
            partition by deliveries.entity_id
            order by
                case when deliveries.delivery_class in ('in_flight', 'unknown') then 1 else 0 end,
                deliveries.started_at desc nulls last,
                deliveries.delivery_id desc,
                deliveries.destination desc nulls last,
                deliveries.destination_id desc nulls last
        ) as place
    from m3ter.integration_deliveries as deliveries
    cross join given
    where deliveries.entity_type = 'Notification' and (given.counts_sandbox or not deliveries.is_sandbox)
),

deliveries as (
    select
        placed_deliveries.notification_id,
        count(*) as delivery_count,
        count(*) filter (where placed_deliveries.delivery_class = 'failed') as failed_delivery_count,
        count(*) filter (where placed_deliveries.delivery_class in ('succeeded', 'failed')) as decided_delivery_count,
        max(placed_deliveries.last_succeeded_at) as last_succeeded_at,
        max(placed_deliveries.delivery_class) filter (
            where placed_deliveries.place = 1 and placed_deliveries.delivery_class not in ('in_flight', 'unknown')
        ) as last_terminal_class
    from placed_deliveries
    group by placed_deliveries.notification_id
),

facts as (
    select
        notifications.*,
        given.recent_after,
        runs.last_run_at,
        deliveries.last_succeeded_at,
        deliveries.last_terminal_class,
        case
            when notifications.event_name is null then false
            when loaded.has_event_types then event_types.event_type is not null
        end as has_live_event_type,
        -- What was never loaded is NULL, and so is all that depends on it.
        case when loaded.has_links then coalesce(links.link_count, 0) end as link_count,
        case when loaded.has_links then coalesce(links.deliverable_link_count, 0) end as deliverable_link_count,
        case when loaded.has_links then coalesce(links.sandbox_link_count, 0) end as sandbox_link_count,
        case when loaded.has_runs then coalesce(runs.run_count, 0) end as run_count,
        case
            when loaded.has_runs and given.recent_after is not null then coalesce(runs.recent_run_count, 0)
        end as recent_run_count,
        case
            when loaded.has_runs and given.recent_after is not null then coalesce(runs.recent_succeeded_run_count, 0)
        end as recent_succeeded_run_count,
        case when loaded.has_runs then coalesce(deliveries.delivery_count, 0) end as delivery_count,
        case when loaded.has_runs then coalesce(deliveries.failed_delivery_count, 0) end as failed_delivery_count,
        case when loaded.has_runs then coalesce(deliveries.decided_delivery_count, 0) end as decided_delivery_count
    from notifications
    cross join m3ter_staging.loaded as loaded
    cross join given
    left join event_types on notifications.event_name = event_types.event_type
    left join links on notifications.notification_id = links.notification_id
    left join runs on notifications.notification_id = runs.notification_id
    left join deliveries on notifications.notification_id = deliveries.notification_id
)

select
    facts.notification_id, -- The notification configuration.
    facts.notification_name, -- Its name.
    facts.notification_code, -- Its code.
    facts.event_name, -- The event type it listens to; NULL: none.
    case
        when facts.is_deleted then 'deleted'
        when not facts.is_active then 'inactive'
        when not facts.has_live_event_type then 'orphaned'
        when facts.has_live_event_type is null or facts.link_count is null then null
        when facts.link_count = 0 then 'unlinked'
        when facts.deliverable_link_count = 0 then 'blocked'
        when facts.last_terminal_class = 'failed' then 'failing'
        when facts.recent_run_count = 0 then 'silent'
        when facts.recent_run_count > 0 then 'delivering'
    -- The first that holds: deleted, inactive, orphaned (no live event type), unlinked, blocked (disabled, unauthorized), failing (last delivery), silent (no run lately), delivering; NULL: unknown.
    end as coverage_status,
    facts.calculation, -- The condition under which it fires.
    facts.description, -- What it is for, in its author's words.
    facts.version, -- Rises with every change of the configuration.
    facts.link_count, -- Integration configurations that link it to a destination; NULL: they were not loaded.
    facts.deliverable_link_count, -- Of these, enabled and not unauthorized.
    facts.sandbox_link_count, -- Links to sandbox destinations, which count above only if the settings say so.
    facts.run_count, -- Its runs.
    facts.recent_run_count, -- Its runs in the last 28 days (setting silent_after_days) up to the start of the last sync that succeeded.
    facts.recent_succeeded_run_count, -- Of these, runs that succeeded.
    facts.delivery_count, -- Its deliveries.
    facts.failed_delivery_count, -- Of these, failed.
    facts.decided_delivery_count, -- Of these, succeeded or failed: the denominator of delivery_failure_rate.
    m3ter_staging.rate(facts.failed_delivery_count, facts.decided_delivery_count) as delivery_failure_rate, -- failed_delivery_count / decided_delivery_count.
    m3ter_staging.wilson_low(facts.failed_delivery_count, facts.decided_delivery_count) as delivery_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    m3ter_staging.wilson_high(facts.failed_delivery_count, facts.decided_delivery_count) as delivery_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    facts.last_terminal_class as last_delivery_class, -- Outcome of its newest delivery that is not in flight (or unknown).
    facts.always_fires, -- It fires whatever its calculation says.
    facts.is_deleted, -- It is no longer listed.
    not facts.is_deleted and facts.is_active as is_active, -- It is there and switched on (C2).
    facts.has_live_event_type, -- Its event name is one of the organization's live event types; NULL: those were not loaded.
    not facts.is_deleted and facts.is_active and facts.deliverable_link_count > 0 as is_deliverable, -- C3: active, with a link that is enabled and not unauthorized.
    not facts.is_deleted and facts.is_active and facts.deliverable_link_count > 0 and facts.always_fires as is_unconditional, -- C4: deliverable, and fires always.
    not facts.is_deleted and facts.is_active and facts.deliverable_link_count > 0 and facts.recent_succeeded_run_count > 0 as is_proven, -- C5: deliverable, and with a run that succeeded lately.
    facts.last_run_at, -- When its newest run started or, not started, was made.
    facts.last_succeeded_at, -- When its last success came.
    facts.created_at, -- When it was made.
    facts.modified_at, -- When it last changed.
    facts.valid_to_at as deleted_at -- When a sync first missed it; NULL while it is listed.
from facts
