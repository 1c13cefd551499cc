-- Grain: one row per integration run that has a known parent or is one; every other run stands alone.
-- For: integration_runs and integration_deliveries.
-- Walks down from the roots, a step for each level, however long a chain is. What no root leads to
-- stands on a circle of parents or hangs from one: there each row leaps along its parents, twice as
-- far with every step, until the leap is longer than any circle can be.
-- Materialized: table
with recursive
links as materialized (
    select
        runs.run_id,
        parents.run_id as parent_run_id,
        parents.attempted_at as parent_attempted_at
    from m3ter_staging.integration_runs as runs
    inner join m3ter_staging.integration_runs as parents on runs.parent_run_id = parents.run_id
),

trees (run_id, root_run_id, root_attempted_at) as (
    select distinct
        links.parent_run_id as run_id,
        links.parent_run_id as root_run_id,
        links.parent_attempted_at as root_attempted_at
    from links
    where
        not exists (
            select 1 from links as above
            where above.run_id = links.parent_run_id
        )
    union all
    select
        links.run_id,
        trees.root_run_id,
        trees.root_attempted_at
    from trees
    inner join links on trees.run_id = links.parent_run_id
),

rootless as (
    select
        links.run_id,
        links.parent_run_id,
        { 'attempted_at': coalesce(runs.attempted_at, 'infinity'), 'run_id': links.run_id } as earliest
    from links
    inner join m3ter_staging.integration_runs as runs on links.run_id = runs.run_id
    where not exists (
        select 1 from trees
        where trees.run_id = links.run_id
    )
),

leaps (run_id, ancestor_run_id, earliest, steps) as (
    select
        rootless.run_id,
        rootless.parent_run_id as ancestor_run_id,
        rootless.earliest,
        1 as steps
    from rootless
    union all
    select
        near.run_id,
        far.ancestor_run_id,
        least(near.earliest, far.earliest) as earliest,
        near.steps * 2 as steps
    from leaps as near
    inner join leaps as far on near.ancestor_run_id = far.run_id
    where near.steps < (select count(*) from rootless)
),

longest_leaps as (
    select
        leaps.run_id,
        leaps.ancestor_run_id,
        leaps.earliest
    from leaps
    qualify leaps.steps = max(leaps.steps) over ()
)

select
    trees.run_id, -- The run.
    trees.root_run_id, -- The run at the head of its chain; of a circle of parents the earliest run.
    trees.root_attempted_at -- When that root began or, not begun, was made.
from trees
union all
select
    leaps.run_id,
    circles.earliest.run_id as root_run_id,
    nullif(circles.earliest.attempted_at, 'infinity') as root_attempted_at
from longest_leaps as leaps
inner join longest_leaps as circles on leaps.ancestor_run_id = circles.run_id
