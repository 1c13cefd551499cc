-- Grain: one row per integration run that stands on a circle of parents or hangs from one: what no root leads to.
-- For: run_roots.
-- Of each circle the walk up from one run comes back to where it began: the others have met a run of a
-- smaller hash before. Hashes are in no order that the data could have, so all walks together are hardly
-- longer than the circles.
-- Materialized: table
with recursive
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
    from m3ter_staging.rootless_runs as rootless
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
    inner join m3ter_staging.rootless_runs as rootless on walks.at_run_id = rootless.run_id
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
    from m3ter_staging.rootless_runs as rootless
    inner join walks on rootless.run_id = walks.run_id and rootless.run_id = walks.at_run_id
    union all
    select
        circles.circle_id,
        rootless.run_id,
        rootless.parent_run_id,
        rootless.attempted_at
    from circles
    inner join m3ter_staging.rootless_runs as rootless on circles.parent_run_id = rootless.run_id
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
    inner join m3ter_staging.rootless_runs as rootless on rounds.run_id = rootless.parent_run_id
    where rootless.run_id != rounds.root_run_id
)

select
    rounds.run_id, -- The run.
    rounds.root_run_id, -- The earliest run of the circle.
    rounds.root_attempted_at -- When that run began or, not begun, was made.
from rounds
