-- Grain: one row per integration run in a chain that a root leads to.
-- For: run_roots. Walks down from the roots, a step for each level, however long a chain is.
-- Materialized: table
with recursive
trees (run_id, root_run_id, root_attempted_at) as (
    select distinct
        links.parent_run_id as run_id,
        links.parent_run_id as root_run_id,
        links.parent_attempted_at as root_attempted_at
    from m3ter_staging.run_links as links
    where
        not exists (
            select 1 from m3ter_staging.run_links as above
            where above.run_id = links.parent_run_id
        )
    union all
    select
        links.run_id,
        trees.root_run_id,
        trees.root_attempted_at
    from trees
    inner join m3ter_staging.run_links as links on trees.run_id = links.parent_run_id
)

select
    trees.run_id, -- The run.
    trees.root_run_id, -- The run at the head of its chain.
    trees.root_attempted_at -- When that root began or, not begun, was made.
from trees
