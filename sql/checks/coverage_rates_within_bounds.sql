-- Every rate of the coverage views is NULL without a denominator; else it is within 0-1 and within its interval.
with
rates as (
    select
        'notification_coverage_summary' as mart,
        ladder.step || ', ' || ladder.scope as place,
        case when ladder.covered_count is not null then ladder.event_type_count end as trials,
        ladder.coverage_rate as stated,
        ladder.coverage_rate_low as stated_low,
        ladder.coverage_rate_high as stated_high
    from m3ter.notification_coverage_summary as ladder
    union all
    select
        'notification_coverage' as mart,
        notifications.notification_id as place,
        notifications.decided_delivery_count as trials,
        notifications.delivery_failure_rate as stated,
        notifications.delivery_failure_rate_low as stated_low,
        notifications.delivery_failure_rate_high as stated_high
    from m3ter.notification_coverage as notifications
)

select
    rates.mart,
    rates.place,
    rates.trials,
    rates.stated,
    rates.stated_low,
    rates.stated_high
from rates
where
    (coalesce(rates.trials, 0) = 0) != (rates.stated is null)
    or (rates.stated is null) != (rates.stated_low is null)
    or (rates.stated is null) != (rates.stated_high is null)
    or rates.stated not between 0 and 1
    or rates.stated_low < 0
    or rates.stated_high > 1
    or rates.stated < rates.stated_low - 1e-9
    or rates.stated > rates.stated_high + 1e-9
