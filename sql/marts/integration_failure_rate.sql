-- Grain: one row per window, entity type and destination, for every destination that a delivery ever went to.
-- For: the answer to what share fails, and whether that is worse than before.
-- Windows roll back from the start of the last sync that succeeded; before the first there is only all.
-- Materialized: table
select
    present.window_name, -- Length of the window: 1d, 7d, 28d, or all that is loaded.
    present.entity_type, -- Bill or Notification.
    present.destination, -- Kind of system it was sent to, such as NETSUITE.
    present.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX); leave it out of a headline.
    present.delivery_count, -- Deliveries.
    present.succeeded_delivery_count, -- Deliveries that succeeded.
    present.failed_delivery_count, -- Deliveries that failed.
    present.blocked_delivery_count, -- Deliveries that were blocked: the integration is disabled.
    present.superseded_delivery_count, -- Deliveries that were superseded: the invoice was paid already.
    present.in_flight_delivery_count, -- Deliveries still in flight.
    present.unknown_delivery_count, -- Deliveries of an unknown outcome: a status that is not in status_class.
    present.decided_delivery_count, -- Deliveries that succeeded or failed: the denominator of delivery_failure_rate.
    present.delivery_failure_rate, -- failed_delivery_count / decided_delivery_count: the headline.
    present.delivery_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    present.delivery_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    present.undelivered_delivery_count, -- Deliveries that failed or were blocked.
    present.due_delivery_count, -- Deliveries that succeeded, failed or were blocked: the denominator of undelivered_rate.
    present.undelivered_rate, -- undelivered_delivery_count / due_delivery_count: what did not arrive, for whatever reason.
    present.undelivered_rate_low, -- Lower end of its 95 % Wilson interval.
    present.undelivered_rate_high, -- Upper end of its 95 % Wilson interval.
    present.first_attempt_failed_count, -- Deliveries whose first run failed.
    present.first_attempt_decided_count, -- Deliveries whose first run succeeded or failed: the denominator of first_attempt_failure_rate.
    present.first_attempt_failure_rate, -- first_attempt_failed_count / first_attempt_decided_count: without any retry.
    present.first_attempt_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    present.first_attempt_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    present.recovered_count, -- Deliveries that succeeded although their first run had failed.
    present.recovery_rate, -- recovered_count / first_attempt_failed_count: what retries are worth.
    present.recovery_rate_low, -- Lower end of its 95 % Wilson interval.
    present.recovery_rate_high, -- Upper end of its 95 % Wilson interval.
    present.run_count, -- Runs of these deliveries.
    present.succeeded_run_count, -- Runs that succeeded.
    present.failed_run_count, -- Runs that failed.
    present.blocked_run_count, -- Runs that were blocked: the integration is disabled.
    present.superseded_run_count, -- Runs that were superseded: the invoice was paid already.
    present.in_flight_run_count, -- Runs still in flight.
    present.unknown_run_count, -- Runs of an unknown outcome: a status that is not in status_class.
    present.decided_run_count, -- Runs that succeeded or failed: the denominator of run_failure_rate.
    present.run_failure_rate, -- failed_run_count / decided_run_count: attempts, not deliveries.
    present.run_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    present.run_failure_rate_high, -- Upper end of its 95 % Wilson interval.
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
    present.is_provisional, -- Deliveries of the window are in flight: its rates can still change.
    windows.starts_after, -- What began at this instant or before is outside; NULL for all.
    windows.ends_at -- The last instant of the window: as_of, the start of the last sync that succeeded; NULL for all.
from m3ter_staging.failure_rates as present
inner join m3ter_staging.windows as windows on present.window_name = windows.window_name
left join m3ter_staging.failure_rates as previous
    on
        previous.span = 'previous window'
        and present.window_name = previous.window_name
        and present.entity_type is not distinct from previous.entity_type
        and present.destination is not distinct from previous.destination
where present.span = 'window'
