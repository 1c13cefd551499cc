-- Grain: one row per integration run whose parent is known.
-- For: run_trees and run_circles, which walk along the parents.
-- Materialized: table
select
    runs.run_id, -- The run.
    parents.run_id as parent_run_id, -- Its parent.
    runs.attempted_at, -- When the run began or, not begun, was made.
    parents.attempted_at as parent_attempted_at -- When its parent began or, not begun, was made.
from m3ter_staging.integration_runs as runs
inner join m3ter_staging.integration_runs as parents on runs.parent_run_id = parents.run_id
