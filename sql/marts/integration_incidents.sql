-- Grain: one row per incident: a streak of failed deliveries of one entity type to one system (destination and destination id), from the first failure to the next success.
-- For: saying when a system was down, for how long, and whom it struck.
-- Deliveries that were blocked, superseded or are in flight neither begin nor end one.
-- Materialized: table
with
-- Read twice; kept for that, ten million runs would take 2.5 GB more.
decided as not materialized (
    select
        deliveries.entity_type,
        deliveries.destination,
        deliveries.destination_id,
        deliveries.is_sandbox,
        deliveries.entity_id,
        deliveries.delivery_class,
        deliveries.last_error,
        deliveries.last_succeeded_at,
        deliveries.started_at,
        -- A chain that brought several entities has a delivery of each, all begun at once: a success of
        -- that instant ends what failed in it.
        {
            'started_at': deliveries.started_at,
            'is_success': deliveries.delivery_class = 'succeeded',
            'delivery_id': deliveries.delivery_id,
            'entity_id': coalesce(deliveries.entity_id, '')
        } as place
    from m3ter.integration_deliveries as deliveries
    where deliveries.delivery_class in ('succeeded', 'failed') and deliveries.started_at is not null
),

successes as (
    select decided.*
    from decided
    where decided.delivery_class = 'succeeded'
),

failures as (
    select
        failed.entity_type,
        failed.destination,
        failed.destination_id,
        failed.is_sandbox,
        failed.entity_id,
        failed.last_error,
        failed.started_at,
        next_success.place as next_success,
        next_success.last_succeeded_at as succeeded_at
    from decided as failed
    asof left join successes as next_success
        on
            -- Of an ASOF join that compares by `is not distinct from`, DuckDB 1.5 loses the rows with a NULL.
            coalesce(failed.entity_type, '') = coalesce(next_success.entity_type, '')
            and coalesce(failed.destination, '') = coalesce(next_success.destination, '')
            and coalesce(failed.destination_id, '') = coalesce(next_success.destination_id, '')
            and failed.place < next_success.place
    where failed.delivery_class = 'failed'
),

-- Failures of one streak are those that the same success follows.
streaks as (
    select
        failures.entity_type,
        failures.destination,
        failures.destination_id,
        failures.is_sandbox,
        bool_and(failures.next_success is null) as is_open,
        any_value(failures.succeeded_at) as succeeded_at,
        count(*) as failed_delivery_count,
        count(distinct failures.entity_id) as entity_count,
        arg_max(failures.last_error, failures.started_at) as last_error,
        min(failures.started_at) as started_at,
        max(failures.started_at) as last_failed_at
    from failures
    group by
        failures.entity_type,
        failures.destination,
        failures.destination_id,
        failures.is_sandbox,
        failures.next_success
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
