-- Grain: one row per integration run that has a known parent, and that no root leads to: one on a circle of parents or hanging from one.
-- For: run_circles. As a rule there is none.
-- Materialized: table
select
    links.run_id, -- The run.
    links.parent_run_id, -- Its parent, which is such a run too.
    md5(links.run_id) as run_hash, -- Puts the runs in an order that has nothing to do with them.
    md5(links.parent_run_id) as parent_hash, -- The parent's run_hash.
    links.attempted_at -- When the run began or, not begun, was made.
from m3ter_staging.run_links as links
where
    not exists (
        select 1 from m3ter_staging.run_trees as trees
        where trees.run_id = links.run_id
    )
