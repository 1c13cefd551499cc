-- Grain: one row per UTC day, entity type and destination on which deliveries began.
-- For: seeing when a destination went bad; integration_failure_rate has the present.
-- A delivery counts on the day on which its root started, so a rate does not move between days as retries finish.
-- Materialized: table
select
    daily.started_on, -- UTC day on which the deliveries began; NULL for those without any time.
    daily.entity_type, -- Bill or Notification.
    daily.destination, -- Kind of system it was sent to, such as NETSUITE.
    daily.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX); leave it out of a headline.
    daily.delivery_count, -- Deliveries.
    daily.succeeded_delivery_count, -- Deliveries that succeeded.
    daily.failed_delivery_count, -- Deliveries that failed.
    daily.blocked_delivery_count, -- Deliveries that were blocked: the integration is disabled.
    daily.superseded_delivery_count, -- Deliveries that were superseded: the invoice was paid already.
    daily.in_flight_delivery_count, -- Deliveries still in flight.
    daily.unknown_delivery_count, -- Deliveries of an unknown outcome: a status that is not in status_class.
    daily.decided_delivery_count, -- Deliveries that succeeded or failed: the denominator of delivery_failure_rate.
    daily.delivery_failure_rate, -- failed_delivery_count / decided_delivery_count: the headline.
    daily.delivery_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    daily.delivery_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    daily.undelivered_delivery_count, -- Deliveries that failed or were blocked.
    daily.due_delivery_count, -- Deliveries that succeeded, failed or were blocked: the denominator of undelivered_rate.
    daily.undelivered_rate, -- undelivered_delivery_count / due_delivery_count: what did not arrive, for whatever reason.
    daily.undelivered_rate_low, -- Lower end of its 95 % Wilson interval.
    daily.undelivered_rate_high, -- Upper end of its 95 % Wilson interval.
    daily.first_attempt_failed_count, -- Deliveries whose first run failed.
    daily.first_attempt_decided_count, -- Deliveries whose first run succeeded or failed: the denominator of first_attempt_failure_rate.
    daily.first_attempt_failure_rate, -- first_attempt_failed_count / first_attempt_decided_count: without any retry.
    daily.first_attempt_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    daily.first_attempt_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    daily.recovered_count, -- Deliveries that succeeded although their first run had failed.
    daily.recovery_rate, -- recovered_count / first_attempt_failed_count: what retries are worth.
    daily.recovery_rate_low, -- Lower end of its 95 % Wilson interval.
    daily.recovery_rate_high, -- Upper end of its 95 % Wilson interval.
    daily.run_count, -- Runs of these deliveries.
    daily.succeeded_run_count, -- Runs that succeeded.
    daily.failed_run_count, -- Runs that failed.
    daily.blocked_run_count, -- Runs that were blocked: the integration is disabled.
    daily.superseded_run_count, -- Runs that were superseded: the invoice was paid already.
    daily.in_flight_run_count, -- Runs still in flight.
    daily.unknown_run_count, -- Runs of an unknown outcome: a status that is not in status_class.
    daily.decided_run_count, -- Runs that succeeded or failed: the denominator of run_failure_rate.
    daily.run_failure_rate, -- failed_run_count / decided_run_count: attempts, not deliveries.
    daily.run_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    daily.run_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    daily.is_provisional -- Deliveries of the day are in flight: its rates can still change.
from m3ter_staging.failure_rates as daily
where daily.span = 'day'
