-- Every failure rate is NULL without a denominator; else it is within 0-1 and within its interval.
with
rates as (
    select
        spans.span,
        coalesce(cast(spans.started_on as varchar), spans.window_name) as span_name,
        spans.entity_type,
        spans.destination,
        unnest(
            [
                {
                    'name': 'delivery_failure_rate',
                    'trials': spans.decided_delivery_count,
                    'rate': spans.delivery_failure_rate,
                    'low': spans.delivery_failure_rate_low,
                    'high': spans.delivery_failure_rate_high
                },
                {
                    'name': 'undelivered_rate',
                    'trials': spans.due_delivery_count,
                    'rate': spans.undelivered_rate,
                    'low': spans.undelivered_rate_low,
                    'high': spans.undelivered_rate_high
                },
                {
                    'name': 'first_attempt_failure_rate',
                    'trials': spans.first_attempt_decided_count,
                    'rate': spans.first_attempt_failure_rate,
                    'low': spans.first_attempt_failure_rate_low,
                    'high': spans.first_attempt_failure_rate_high
                },
                {
                    'name': 'recovery_rate',
                    'trials': spans.first_attempt_failed_count,
                    'rate': spans.recovery_rate,
                    'low': spans.recovery_rate_low,
                    'high': spans.recovery_rate_high
                },
                {
                    'name': 'run_failure_rate',
                    'trials': spans.decided_run_count,
                    'rate': spans.run_failure_rate,
                    'low': spans.run_failure_rate_low,
                    'high': spans.run_failure_rate_high
                }
            ]
        ) as stated
    from m3ter_staging.failure_rates as spans
)

select
    rates.span,
    rates.span_name,
    rates.entity_type,
    rates.destination,
    rates.stated.name as rate_name,
    rates.stated.rate as stated_rate,
    rates.stated.low as stated_low,
    rates.stated.high as stated_high
from rates
where
    (rates.stated.trials = 0) != (rates.stated.rate is null)
    or (rates.stated.rate is null) != (rates.stated.low is null)
    or (rates.stated.rate is null) != (rates.stated.high is null)
    or rates.stated.rate not between 0 and 1
    or rates.stated.low < 0
    or rates.stated.high > 1
    or rates.stated.rate < rates.stated.low - 1e-9
    or rates.stated.rate > rates.stated.high + 1e-9
