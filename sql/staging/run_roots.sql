-- Grain: one row per integration run that has a known parent or is one; every other run stands alone.
-- For: integration_runs and integration_deliveries.
-- Walks down from the roots, a step for each level, however long a chain is. What no root leads to
-- stands on a circle of parents or hangs from one. Of each circle the walk up from one run comes back to
-- where it began: the others have met a run of a smaller hash before. Hashes are in no order that the
-- data could have, so all walks together are hardly longer than the circles.
-- Materialized: table
with recursive
links as materialized (
    select
        runs.run_id,
        runs.attempted_at,
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

rootless as materialized (
    select
        links.run_id,
        links.attempted_at,
        links.parent_run_id,
        md5(links.run_id) as run_hash,
        md5(links.parent_run_id) as parent_hash
    from links
    where
        not exists (
            select 1 from trees
            where trees.run_id = links.run_id
        )
),

-- A walk that began beside the circle never comes back: it ends where it meets the milestone that it
-- set last, when it had gone half as far.
walks (run_id, run_hash, at_run_id, at_hash, milestone_run_id, steps, milestone_steps) as (
    select
        rootless.run_id,
        rootless.run_hash,
        rootless.parent_run_id as at_run_id,
        rootless.parent_hash as at_hash,
        rootless.parent_run_id as milestone_run_id,
        1 as steps,
        2 as milestone_steps
    from rootless
    where rootless.parent_hash >= rootless.run_hash
    union all
    select
        walks.run_id,
        walks.run_hash,
        rootless.parent_run_id as at_run_id,
        rootless.parent_hash as at_hash,
        case
            when walks.steps + 1 = walks.milestone_steps then rootless.parent_run_id else walks.milestone_run_id
        end as milestone_run_id,
        walks.steps + 1 as steps,
        case
            when walks.steps + 1 = walks.milestone_steps then walks.milestone_steps * 2 else walks.milestone_steps
        end as milestone_steps
    from walks
    inner join rootless on walks.at_run_id = rootless.run_id
    where
        walks.at_run_id != walks.run_id
        and rootless.parent_hash >= walks.run_hash
        and rootless.parent_run_id != walks.milestone_run_id
),

circles (circle_id, run_id, parent_run_id, attempted_at) as (
    select
        rootless.run_id as circle_id,
        rootless.run_id,
        rootless.parent_run_id,
        rootless.attempted_at
    from rootless
    inner join walks on rootless.run_id = walks.run_id and rootless.run_id = walks.at_run_id
    union all
    select
        circles.circle_id,
        rootless.run_id,
        rootless.parent_run_id,
        rootless.attempted_at
    from circles
    inner join rootless on circles.parent_run_id = rootless.run_id
    where circles.parent_run_id != circles.circle_id
),

placed as (
    select
        circles.run_id,
        circles.attempted_at,
        row_number() over (
            partition by circles.circle_id
            order by circles.attempted_at nulls last, circles.run_id
        ) as place
    from circles
),

-- Down from the earliest run of each circle, around it and into what hangs from it.
rounds (run_id, root_run_id, root_attempted_at) as (
    select
        placed.run_id,
        placed.run_id as root_run_id,
        placed.attempted_at as root_attempted_at
    from placed
    where placed.place = 1
    union all
    select
        rootless.run_id,
        rounds.root_run_id,
        rounds.root_attempted_at
    from rounds
    inner join rootless on rounds.run_id = rootless.parent_run_id
    where rootless.run_id != rounds.root_run_id
)

select
    trees.run_id, -- The run.
    trees.root_run_id, -- The run at the head of its chain; of a circle of parents the earliest run.
    trees.root_attempted_at -- When that root began or, not begun, was made.
from trees
union all
select
    rounds.run_id,
    rounds.root_run_id,
    rounds.root_attempted_at
from rounds
