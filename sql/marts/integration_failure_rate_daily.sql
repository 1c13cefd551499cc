-- Grain: one row per UTC day, entity type and destination on which deliveries began.
-- For: seeing when a destination went bad; integration_failure_rate has the present.
-- A delivery counts on the day on which its root started, so a rate does not move between days as retries finish.
-- Materialized: table

-- Columns that say nothing here are explained in m3ter_staging.failure_rates.
select
    daily.started_on, -- UTC day on which the deliveries began; NULL for those without any time.
    daily.entity_type,
    daily.destination,
    daily.is_sandbox,
    daily.delivery_count,
    daily.succeeded_delivery_count,
    daily.failed_delivery_count,
    daily.blocked_delivery_count,
    daily.superseded_delivery_count,
    daily.in_flight_delivery_count,
    daily.unknown_delivery_count,
    daily.decided_delivery_count,
    daily.delivery_failure_rate,
    daily.delivery_failure_rate_low,
    daily.delivery_failure_rate_high,
    daily.undelivered_delivery_count,
    daily.due_delivery_count,
    daily.undelivered_rate,
    daily.undelivered_rate_low,
    daily.undelivered_rate_high,
    daily.first_attempt_failed_count,
    daily.first_attempt_decided_count,
    daily.first_attempt_failure_rate,
    daily.first_attempt_failure_rate_low,
    daily.first_attempt_failure_rate_high,
    daily.recovered_count,
    daily.recovery_rate,
    daily.recovery_rate_low,
    daily.recovery_rate_high,
    daily.run_count,
    daily.succeeded_run_count,
    daily.failed_run_count,
    daily.blocked_run_count,
    daily.superseded_run_count,
    daily.in_flight_run_count,
    daily.unknown_run_count,
    daily.decided_run_count,
    daily.run_failure_rate,
    daily.run_failure_rate_low,
    daily.run_failure_rate_high,
    daily.is_provisional
from m3ter_staging.failure_rates as daily
where daily.span = 'day'
