-- Every failure rate is NULL without a denominator; else it is within 0-1 and within its interval.
with
rates as (
    select
        spans.span,
        coalesce(cast(spans.started_on as varchar), spans.window_name) as span_name,
        spans.entity_type,
        spans.destination,
        'delivery_failure_rate' as rate_name,
        spans.decided_delivery_count as trials,
        spans.delivery_failure_rate as stated,
        spans.delivery_failure_rate_low as stated_low,
        spans.delivery_failure_rate_high as stated_high
    from m3ter_staging.failure_rates as spans
    union all
    select
        spans.span,
        coalesce(cast(spans.started_on as varchar), spans.window_name) as span_name,
        spans.entity_type,
        spans.destination,
        'undelivered_rate' as rate_name,
        spans.due_delivery_count as trials,
        spans.undelivered_rate as stated,
        spans.undelivered_rate_low as stated_low,
        spans.undelivered_rate_high as stated_high
    from m3ter_staging.failure_rates as spans
    union all
    select
        spans.span,
        coalesce(cast(spans.started_on as varchar), spans.window_name) as span_name,
        spans.entity_type,
        spans.destination,
        'first_attempt_failure_rate' as rate_name,
        spans.first_attempt_decided_count as trials,
        spans.first_attempt_failure_rate as stated,
        spans.first_attempt_failure_rate_low as stated_low,
        spans.first_attempt_failure_rate_high as stated_high
    from m3ter_staging.failure_rates as spans
    union all
    select
        spans.span,
        coalesce(cast(spans.started_on as varchar), spans.window_name) as span_name,
        spans.entity_type,
        spans.destination,
        'recovery_rate' as rate_name,
        spans.first_attempt_failed_count as trials,
        spans.recovery_rate as stated,
        spans.recovery_rate_low as stated_low,
        spans.recovery_rate_high as stated_high
    from m3ter_staging.failure_rates as spans
    union all
    select
        spans.span,
        coalesce(cast(spans.started_on as varchar), spans.window_name) as span_name,
        spans.entity_type,
        spans.destination,
        'run_failure_rate' as rate_name,
        spans.decided_run_count as trials,
        spans.run_failure_rate as stated,
        spans.run_failure_rate_low as stated_low,
        spans.run_failure_rate_high as stated_high
    from m3ter_staging.failure_rates as spans
)

select
    rates.span,
    rates.span_name,
    rates.entity_type,
    rates.destination,
    rates.rate_name,
    rates.stated as stated_rate,
    rates.stated_low,
    rates.stated_high
from rates
where
    (rates.trials = 0) != (rates.stated is null)
    or (rates.stated is null) != (rates.stated_low is null)
    or (rates.stated is null) != (rates.stated_high is null)
    or rates.stated not between 0 and 1
    or rates.stated_low < 0
    or rates.stated_high > 1
    or rates.stated < rates.stated_low - 1e-9
    or rates.stated > rates.stated_high + 1e-9
