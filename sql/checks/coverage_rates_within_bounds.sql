-- Every coverage rate is NULL without a denominator; else it is within 0-1 and within its interval.
select
    ladder.step,
    ladder.scope,
    ladder.covered_count,
    ladder.event_type_count,
    ladder.coverage_rate
from m3ter.notification_coverage_summary as ladder
where
    (coalesce(ladder.event_type_count, 0) = 0 or ladder.covered_count is null) != (ladder.coverage_rate is null)
    or ladder.coverage_rate not between 0 and 1
    or ladder.coverage_rate < ladder.coverage_rate_low - 1e-9
    or ladder.coverage_rate > ladder.coverage_rate_high + 1e-9
