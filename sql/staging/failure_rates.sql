-- Grain: one row per span of time, entity type and destination: each UTC day with deliveries, each window, and the window before each.
-- For: integration_failure_rate_daily and integration_failure_rate: the counts and rates are defined here alone.
-- Materialized: table
with
-- Windows begin whole days before as_of, so counts by UTC day and by age in days make up any of them.
counts as (
    select
        deliveries.started_on,
        -- 0 from as_of back to just after 24 hours before it; negative after as_of.
        cast(floor(m3ter_staging.seconds_between(deliveries.started_at, now_is.as_of) / 86400) as bigint) as age_days,
        deliveries.entity_type,
        deliveries.destination,
        deliveries.is_sandbox,
        count(*) as delivery_count,
        count(*) filter (where deliveries.delivery_class = 'succeeded') as succeeded_delivery_count,
        count(*) filter (where deliveries.delivery_class = 'failed') as failed_delivery_count,
        count(*) filter (where deliveries.delivery_class = 'blocked') as blocked_delivery_count,
        count(*) filter (where deliveries.delivery_class = 'superseded') as superseded_delivery_count,
        count(*) filter (where deliveries.delivery_class = 'in_flight') as in_flight_delivery_count,
        count(*) filter (where deliveries.delivery_class = 'unknown') as unknown_delivery_count,
        count(*) filter (where deliveries.delivery_class in ('succeeded', 'failed')) as decided_delivery_count,
        count(*) filter (where deliveries.delivery_class in ('failed', 'blocked')) as undelivered_delivery_count,
        count(*) filter (where deliveries.delivery_class in ('succeeded', 'failed', 'blocked')) as due_delivery_count,
        count(*) filter (where deliveries.first_attempt_failed) as first_attempt_failed_count,
        count(*) filter (where deliveries.first_attempt_class in ('succeeded', 'failed')) as first_attempt_decided_count,
        count(*) filter (where deliveries.is_recovered) as recovered_count,
        sum(deliveries.attempt_count) as run_count,
        sum(deliveries.succeeded_run_count) as succeeded_run_count,
        sum(deliveries.failed_run_count) as failed_run_count,
        sum(deliveries.blocked_run_count) as blocked_run_count,
        sum(deliveries.superseded_run_count) as superseded_run_count,
        sum(deliveries.in_flight_run_count) as in_flight_run_count,
        sum(deliveries.unknown_run_count) as unknown_run_count,
        sum(deliveries.succeeded_run_count + deliveries.failed_run_count) as decided_run_count
    from m3ter.integration_deliveries as deliveries
    cross join m3ter_staging.as_of as now_is
    group by 1, 2, 3, 4, 5
),

spans as (
    select
        'day' as span,
        cast(null as varchar) as window_name,
        counts.*
    from counts
    union all
    select
        'window' as span,
        windows.window_name,
        counts.*
    from counts
    inner join m3ter_staging.windows as windows
        on windows.window_name = 'all' or (counts.age_days >= 0 and counts.age_days < windows.window_days)
    union all
    select
        'previous window' as span,
        windows.window_name,
        counts.*
    from counts
    inner join m3ter_staging.windows as windows
        on counts.age_days >= windows.window_days and counts.age_days < 2 * windows.window_days
    union all
    -- A destination without a delivery in a window has a row of zeros: silence is news too.
    select distinct
        'window' as span,
        windows.window_name,
        cast(null as date) as started_on,
        cast(null as bigint) as age_days,
        counts.entity_type,
        counts.destination,
        counts.is_sandbox,
        0 as delivery_count,
        0 as succeeded_delivery_count,
        0 as failed_delivery_count,
        0 as blocked_delivery_count,
        0 as superseded_delivery_count,
        0 as in_flight_delivery_count,
        0 as unknown_delivery_count,
        0 as decided_delivery_count,
        0 as undelivered_delivery_count,
        0 as due_delivery_count,
        0 as first_attempt_failed_count,
        0 as first_attempt_decided_count,
        0 as recovered_count,
        0 as run_count,
        0 as succeeded_run_count,
        0 as failed_run_count,
        0 as blocked_run_count,
        0 as superseded_run_count,
        0 as in_flight_run_count,
        0 as unknown_run_count,
        0 as decided_run_count
    from counts
    cross join m3ter_staging.windows as windows
),

totals as (
    select
        spans.span,
        case when spans.span = 'day' then spans.started_on end as started_on,
        spans.window_name,
        spans.entity_type,
        spans.destination,
        spans.is_sandbox,
        cast(coalesce(sum(spans.delivery_count), 0) as bigint) as delivery_count,
        cast(coalesce(sum(spans.succeeded_delivery_count), 0) as bigint) as succeeded_delivery_count,
        cast(coalesce(sum(spans.failed_delivery_count), 0) as bigint) as failed_delivery_count,
        cast(coalesce(sum(spans.blocked_delivery_count), 0) as bigint) as blocked_delivery_count,
        cast(coalesce(sum(spans.superseded_delivery_count), 0) as bigint) as superseded_delivery_count,
        cast(coalesce(sum(spans.in_flight_delivery_count), 0) as bigint) as in_flight_delivery_count,
        cast(coalesce(sum(spans.unknown_delivery_count), 0) as bigint) as unknown_delivery_count,
        cast(coalesce(sum(spans.decided_delivery_count), 0) as bigint) as decided_delivery_count,
        cast(coalesce(sum(spans.undelivered_delivery_count), 0) as bigint) as undelivered_delivery_count,
        cast(coalesce(sum(spans.due_delivery_count), 0) as bigint) as due_delivery_count,
        cast(coalesce(sum(spans.first_attempt_failed_count), 0) as bigint) as first_attempt_failed_count,
        cast(coalesce(sum(spans.first_attempt_decided_count), 0) as bigint) as first_attempt_decided_count,
        cast(coalesce(sum(spans.recovered_count), 0) as bigint) as recovered_count,
        cast(coalesce(sum(spans.run_count), 0) as bigint) as run_count,
        cast(coalesce(sum(spans.succeeded_run_count), 0) as bigint) as succeeded_run_count,
        cast(coalesce(sum(spans.failed_run_count), 0) as bigint) as failed_run_count,
        cast(coalesce(sum(spans.blocked_run_count), 0) as bigint) as blocked_run_count,
        cast(coalesce(sum(spans.superseded_run_count), 0) as bigint) as superseded_run_count,
        cast(coalesce(sum(spans.in_flight_run_count), 0) as bigint) as in_flight_run_count,
        cast(coalesce(sum(spans.unknown_run_count), 0) as bigint) as unknown_run_count,
        cast(coalesce(sum(spans.decided_run_count), 0) as bigint) as decided_run_count
    from spans
    group by 1, 2, 3, 4, 5, 6
)

select
    totals.span, -- day, window, or previous window.
    totals.started_on, -- UTC day on which the deliveries began; NULL for those without any time, and for a window.
    totals.window_name, -- Length of the window: 1d, 7d, 28d, or all that is loaded; NULL for a day.
    totals.entity_type, -- Bill or Notification.
    totals.destination, -- Kind of system it was sent to, such as NETSUITE.
    totals.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX); leave it out of a headline.
    totals.delivery_count, -- Deliveries.
    totals.succeeded_delivery_count, -- Deliveries that succeeded.
    totals.failed_delivery_count, -- Deliveries that failed.
    totals.blocked_delivery_count, -- Deliveries that were blocked: the integration is disabled.
    totals.superseded_delivery_count, -- Deliveries that were superseded: the invoice was paid already.
    totals.in_flight_delivery_count, -- Deliveries still in flight.
    totals.unknown_delivery_count, -- Deliveries of an unknown outcome: a status that is not in status_class.
    totals.decided_delivery_count, -- Deliveries that succeeded or failed: the denominator of delivery_failure_rate.
    m3ter_staging.rate(totals.failed_delivery_count, totals.decided_delivery_count) as delivery_failure_rate, -- failed_delivery_count / decided_delivery_count: the headline.
    m3ter_staging.wilson_low(totals.failed_delivery_count, totals.decided_delivery_count) as delivery_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    m3ter_staging.wilson_high(totals.failed_delivery_count, totals.decided_delivery_count) as delivery_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    totals.undelivered_delivery_count, -- Deliveries that failed or were blocked.
    totals.due_delivery_count, -- Deliveries that succeeded, failed or were blocked: the denominator of undelivered_rate.
    m3ter_staging.rate(totals.undelivered_delivery_count, totals.due_delivery_count) as undelivered_rate, -- undelivered_delivery_count / due_delivery_count: what did not arrive, for whatever reason.
    m3ter_staging.wilson_low(totals.undelivered_delivery_count, totals.due_delivery_count) as undelivered_rate_low, -- Lower end of its 95 % Wilson interval.
    m3ter_staging.wilson_high(totals.undelivered_delivery_count, totals.due_delivery_count) as undelivered_rate_high, -- Upper end of its 95 % Wilson interval.
    totals.first_attempt_failed_count, -- Deliveries whose first run failed.
    totals.first_attempt_decided_count, -- Deliveries whose first run succeeded or failed: the denominator of first_attempt_failure_rate.
    m3ter_staging.rate(totals.first_attempt_failed_count, totals.first_attempt_decided_count) as first_attempt_failure_rate, -- first_attempt_failed_count / first_attempt_decided_count: without any retry.
    m3ter_staging.wilson_low(totals.first_attempt_failed_count, totals.first_attempt_decided_count) as first_attempt_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    m3ter_staging.wilson_high(totals.first_attempt_failed_count, totals.first_attempt_decided_count) as first_attempt_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    totals.recovered_count, -- Deliveries that succeeded although their first run had failed.
    m3ter_staging.rate(totals.recovered_count, totals.first_attempt_failed_count) as recovery_rate, -- recovered_count / first_attempt_failed_count: what retries are worth.
    m3ter_staging.wilson_low(totals.recovered_count, totals.first_attempt_failed_count) as recovery_rate_low, -- Lower end of its 95 % Wilson interval.
    m3ter_staging.wilson_high(totals.recovered_count, totals.first_attempt_failed_count) as recovery_rate_high, -- Upper end of its 95 % Wilson interval.
    totals.run_count, -- Runs of these deliveries.
    totals.succeeded_run_count, -- Runs that succeeded.
    totals.failed_run_count, -- Runs that failed.
    totals.blocked_run_count, -- Runs that were blocked: the integration is disabled.
    totals.superseded_run_count, -- Runs that were superseded: the invoice was paid already.
    totals.in_flight_run_count, -- Runs still in flight.
    totals.unknown_run_count, -- Runs of an unknown outcome: a status that is not in status_class.
    totals.decided_run_count, -- Runs that succeeded or failed: the denominator of run_failure_rate.
    m3ter_staging.rate(totals.failed_run_count, totals.decided_run_count) as run_failure_rate, -- failed_run_count / decided_run_count: attempts, not deliveries.
    m3ter_staging.wilson_low(totals.failed_run_count, totals.decided_run_count) as run_failure_rate_low, -- Lower end of its 95 % Wilson interval.
    m3ter_staging.wilson_high(totals.failed_run_count, totals.decided_run_count) as run_failure_rate_high, -- Upper end of its 95 % Wilson interval.
    totals.in_flight_delivery_count > 0 as is_provisional -- Deliveries of the day or window are in flight: its rates can still change.
from totals
