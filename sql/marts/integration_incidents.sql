-- Grain: one row per incident: a streak of failed deliveries of one entity type to one system (destination and destination id), from the first failure to the next success.
-- For: saying when a system was down, for how long, and whom it struck.
-- Deliveries that were blocked, superseded or are in flight neither begin nor end one.
-- Materialized: table
with
-- A chain that brought several entities has a delivery of each, all begun at once: a success of that
-- instant ends what failed in it.
decided as (
    select
        deliveries.entity_type,
        deliveries.destination,
        deliveries.destination_id,
        deliveries.is_sandbox,
        deliveries.delivery_id,
        deliveries.entity_id,
        deliveries.last_error,
        deliveries.last_succeeded_at,
        deliveries.started_at,
        deliveries.delivery_class = 'failed' as has_failed,
        lag(deliveries.delivery_class) over (
            partition by deliveries.entity_type, deliveries.destination, deliveries.destination_id
            order by
                deliveries.started_at,
                case when deliveries.delivery_class = 'succeeded' then 1 else 0 end,
                deliveries.delivery_id,
                deliveries.entity_id nulls first
        ) as previous_class
    from m3ter.integration_deliveries as deliveries
    where deliveries.delivery_class in ('succeeded', 'failed') and deliveries.started_at is not null
),

-- Failures, and each success that follows one: a streak is all up to the next success.
counted as (
    select
        decided.*,
        coalesce(
            sum(case when decided.has_failed then 0 else 1 end) over (
                partition by decided.entity_type, decided.destination, decided.destination_id
                order by
                    decided.started_at nulls first,
                    case when decided.has_failed then 0 else 1 end nulls first,
                    decided.delivery_id nulls first,
                    decided.entity_id nulls first
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as earlier_success_count
    from decided
    where decided.has_failed or decided.previous_class = 'failed'
),

placed as (
    select
        counted.*,
        row_number() over (
            partition by
                counted.entity_type, counted.destination, counted.destination_id, counted.earlier_success_count
            order by
                case when counted.has_failed and counted.last_error is not null then 0 else 1 end,
                counted.started_at desc,
                counted.delivery_id desc,
                counted.entity_id desc nulls last
        ) as place_of_error
    from counted
),

streaks as (
    select
        placed.entity_type,
        placed.destination,
        placed.destination_id,
        bool_or(placed.is_sandbox) as is_sandbox,
        bool_and(placed.has_failed) as is_open,
        max(placed.last_succeeded_at) filter (where not placed.has_failed) as succeeded_at,
        count(*) filter (where placed.has_failed) as failed_delivery_count,
        count(distinct case when placed.has_failed then placed.entity_id end) as entity_count,
        max(placed.last_error) filter (where placed.has_failed and placed.place_of_error = 1) as last_error,
        min(placed.started_at) filter (where placed.has_failed) as started_at,
        max(placed.started_at) filter (where placed.has_failed) as last_failed_at
    from placed
    group by
        placed.entity_type,
        placed.destination,
        placed.destination_id,
        placed.earlier_success_count
)

select
    streaks.entity_type, -- Bill or Notification.
    streaks.destination, -- Kind of system that failed.
    streaks.destination_id, -- Which system of that kind.
    streaks.failed_delivery_count, -- Deliveries that failed in it.
    streaks.entity_count, -- Bills or notifications that were struck.
    m3ter_staging.seconds_between(streaks.started_at, streaks.succeeded_at) as seconds_to_recover, -- Seconds from started_at to ended_at; NULL while it is open.
    streaks.last_error, -- The latest error text in it.
    streaks.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX).
    streaks.is_open, -- No delivery that began later has succeeded.
    m3ter_staging.utc_day(streaks.started_at) as started_on, -- UTC day of started_at.
    streaks.started_at, -- When the first delivery that failed began.
    streaks.last_failed_at, -- When the last delivery that failed began.
    streaks.succeeded_at as ended_at -- When the next delivery to begin succeeded; NULL while it is open.
from streaks
