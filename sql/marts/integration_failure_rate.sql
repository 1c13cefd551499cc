-- Grain: one row per window, entity type and destination, for every destination that a delivery ever went to.
-- For: the answer to what share fails, and whether that is worse than before.
-- Windows roll back from the start of the last sync that succeeded; before the first there is only all.
-- Materialized: table

-- Columns that say nothing here are explained in m3ter_staging.failure_rates.
select
    present.window_name, -- Length of the window: 1d, 7d, 28d, or all that is loaded.
    present.entity_type,
    present.destination,
    present.is_sandbox,
    present.delivery_count,
    present.succeeded_delivery_count,
    present.failed_delivery_count,
    present.blocked_delivery_count,
    present.superseded_delivery_count,
    present.in_flight_delivery_count,
    present.unknown_delivery_count,
    present.decided_delivery_count,
    present.delivery_failure_rate,
    present.delivery_failure_rate_low,
    present.delivery_failure_rate_high,
    present.undelivered_delivery_count,
    present.due_delivery_count,
    present.undelivered_rate,
    present.undelivered_rate_low,
    present.undelivered_rate_high,
    present.first_attempt_failed_count,
    present.first_attempt_decided_count,
    present.first_attempt_failure_rate,
    present.first_attempt_failure_rate_low,
    present.first_attempt_failure_rate_high,
    present.recovered_count,
    present.recovery_rate,
    present.recovery_rate_low,
    present.recovery_rate_high,
    present.run_count,
    present.succeeded_run_count,
    present.failed_run_count,
    present.blocked_run_count,
    present.superseded_run_count,
    present.in_flight_run_count,
    present.unknown_run_count,
    present.decided_run_count,
    present.run_failure_rate,
    present.run_failure_rate_low,
    present.run_failure_rate_high,
    previous.delivery_failure_rate as previous_delivery_failure_rate, -- delivery_failure_rate of the window of equal length before; NULL for all.
    previous.delivery_failure_rate_low as previous_delivery_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    previous.delivery_failure_rate_high as previous_delivery_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    case
        when windows.window_days is not null then coalesce(previous.failed_delivery_count, 0)
    end as previous_failed_delivery_count, -- Its numerator; NULL for all.
    case
        when windows.window_days is not null then coalesce(previous.decided_delivery_count, 0)
    end as previous_decided_delivery_count, -- Its denominator; NULL for all.
    present.delivery_failure_rate_low > previous.delivery_failure_rate_high
    or present.delivery_failure_rate_high < previous.delivery_failure_rate_low as is_significant_change, -- The intervals of the two windows do not overlap; NULL when one of them has no rate.
    present.is_provisional,
    windows.starts_after,
    windows.ends_at
from m3ter_staging.failure_rates as present
inner join m3ter_staging.windows as windows on present.window_name = windows.window_name
left join m3ter_staging.failure_rates as previous
    on
        previous.span = 'previous window'
        and present.window_name = previous.window_name
        and present.entity_type is not distinct from previous.entity_type
        and present.destination is not distinct from previous.destination
where present.span = 'window'
