-- Grain: one row per incident: a streak of failed deliveries of one entity type to one destination, from the first failure to the next success.
-- For: saying when a destination was down, for how long, and whom it struck.
-- Deliveries that were blocked, superseded or are in flight neither begin nor end one.
-- Materialized: table
with
decided as (
    select
        deliveries.entity_type,
        deliveries.destination,
        deliveries.is_sandbox,
        deliveries.entity_id,
        deliveries.delivery_class,
        deliveries.last_error,
        deliveries.started_at,
        last_value(
            case
                when deliveries.delivery_class = 'succeeded'
                    then { 'delivery_id': deliveries.delivery_id, 'succeeded_at': deliveries.last_succeeded_at }
            end ignore nulls
        ) over (
            partition by deliveries.entity_type, deliveries.destination
            -- A chain that reached several destinations has a delivery for each, all begun at once.
            order by
                deliveries.started_at desc, deliveries.delivery_id desc,
                deliveries.entity_id desc, deliveries.destination_id desc
            rows unbounded preceding
        ) as next_success
    from m3ter.integration_deliveries as deliveries
    where deliveries.delivery_class in ('succeeded', 'failed') and deliveries.started_at is not null
),

-- Failures of one streak are those that the same success follows.
streaks as (
    select
        decided.entity_type,
        decided.destination,
        decided.is_sandbox,
        any_value(decided.next_success.succeeded_at) as succeeded_at,
        count(*) as failed_delivery_count,
        count(distinct decided.entity_id) as entity_count,
        arg_max(decided.last_error, decided.started_at) as last_error,
        min(decided.started_at) as started_at,
        max(decided.started_at) as last_failed_at
    from decided
    where decided.delivery_class = 'failed'
    group by decided.entity_type, decided.destination, decided.is_sandbox, decided.next_success
)

select
    streaks.entity_type, -- Bill or Notification.
    streaks.destination, -- Kind of system that failed.
    streaks.failed_delivery_count, -- Deliveries that failed in it.
    streaks.entity_count, -- Bills or notifications that were struck.
    m3ter_staging.seconds_between(streaks.started_at, streaks.succeeded_at) as seconds_to_recover, -- Seconds from started_at to ended_at; NULL while it is open.
    streaks.last_error, -- The latest error text in it.
    streaks.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX).
    streaks.succeeded_at is null as is_open, -- No delivery that began later has succeeded.
    m3ter_staging.utc_day(streaks.started_at) as started_on, -- UTC day of started_at.
    streaks.started_at, -- When the first delivery that failed began.
    streaks.last_failed_at, -- When the last delivery that failed began.
    streaks.succeeded_at as ended_at -- When the next delivery to begin succeeded; NULL while it is open.
from streaks
