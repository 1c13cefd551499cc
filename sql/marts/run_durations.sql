-- Grain: one row per destination and entity type.
-- For: knowing what is usual, before calling a run slow.
-- Materialized: table
with
durations as (
    select
        runs.entity_type,
        runs.destination,
        runs.is_sandbox,
        m3ter_staging.seconds_between(runs.created_at, runs.started_at) as queue_seconds,
        m3ter_staging.seconds_between(runs.started_at, runs.completed_at) as run_seconds
    from m3ter_staging.integration_runs as runs
),

quantiles as (
    select
        durations.entity_type,
        durations.destination,
        durations.is_sandbox,
        count(durations.queue_seconds) as started_run_count,
        count(durations.run_seconds) as completed_run_count,
        quantile_cont(durations.queue_seconds, 0.5) as p50_queue_seconds,
        quantile_cont(durations.queue_seconds, 0.95) as p95_queue_seconds,
        quantile_cont(durations.queue_seconds, 0.99) as p99_queue_seconds,
        quantile_cont(durations.run_seconds, 0.5) as p50_run_seconds,
        quantile_cont(durations.run_seconds, 0.95) as p95_run_seconds,
        quantile_cont(durations.run_seconds, 0.99) as p99_run_seconds
    from durations
    group by durations.entity_type, durations.destination, durations.is_sandbox
)

select
    quantiles.entity_type, -- Bill or Notification.
    quantiles.destination, -- Kind of system.
    quantiles.started_run_count, -- Runs with both times of a queue time.
    quantiles.p50_queue_seconds, -- Half of them waited no longer than this from being made to starting.
    quantiles.p95_queue_seconds, -- 95 % waited no longer.
    quantiles.p99_queue_seconds, -- 99 % waited no longer.
    quantiles.completed_run_count, -- Runs with both times of a run time.
    quantiles.p50_run_seconds, -- Half of them took no longer than this from starting to ending.
    quantiles.p95_run_seconds, -- 95 % took no longer.
    quantiles.p99_run_seconds, -- 99 % took no longer.
    quantiles.is_sandbox -- The destination is for trying out (*_TEST, *_SANDBOX).
from quantiles
