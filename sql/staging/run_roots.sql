-- Grain: one row per integration run that has a known parent or is one; every other run stands alone.
-- For: integration_runs and integration_deliveries.
-- Materialized: table
select
    trees.run_id, -- The run.
    trees.root_run_id, -- The run at the head of its chain; of a circle of parents the earliest run.
    trees.root_attempted_at -- When that root began or, not begun, was made.
from m3ter_staging.run_trees as trees
union all
select
    circles.run_id,
    circles.root_run_id,
    circles.root_attempted_at
from m3ter_staging.run_circles as circles
