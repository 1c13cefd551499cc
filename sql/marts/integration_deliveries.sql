-- Grain: one row per delivery: one attempt to bring one entity's state to one destination, with all its retries.
-- For: everyone who counts failures; the failure rates and the state of bills are made of it.
-- The key is delivery_id with entity_type, entity_id, destination and destination_id: a chain of runs that
-- reached several destinations is a delivery to each, and delivery_id alone is no key.
-- Materialized: table
with
-- Read twice; kept for that, ten million runs would take 2.5 GB more.
members as not materialized (
    select
        coalesce(roots.root_run_id, runs.run_id) as delivery_id,
        runs.entity_type,
        runs.entity_id,
        runs.destination,
        runs.destination_id,
        runs.is_sandbox,
        runs.run_class,
        runs.status,
        runs.error,
        runs.completed_at,
        case when roots.run_id is null then runs.attempted_at else roots.root_attempted_at end as started_at,
        roots.run_id is null as is_alone,
        coalesce(runs.completed_at, runs.attempted_at) as ended_at,
        runs.attempted_at,
        coalesce(runs.run_id != roots.root_run_id, false) as is_retry,
        -- Where all else is equal, the hash settles which run is the first and which the last: every build and
        -- every engine says the same.
        md5(runs.run_id) as tie
    from m3ter_staging.integration_runs as runs
    left join m3ter_staging.run_roots as roots on runs.run_id = roots.run_id
),

-- Of runs at the same instant a chain's root is the first.
placed as (
    select
        members.delivery_id,
        members.entity_type,
        members.entity_id,
        members.destination,
        members.destination_id,
        members.is_sandbox,
        members.run_class,
        members.status,
        members.error,
        members.completed_at,
        members.started_at,
        members.ended_at,
        row_number() over (
            partition by
                members.delivery_id,
                members.entity_type,
                members.entity_id,
                members.destination,
                members.destination_id
            order by members.attempted_at nulls last, members.is_retry, members.tie
        ) as place_at_start,
        row_number() over (
            partition by
                members.delivery_id,
                members.entity_type,
                members.entity_id,
                members.destination,
                members.destination_id
            order by members.ended_at desc nulls last, members.attempted_at desc nulls last, members.tie desc
        ) as place_at_end,
        row_number() over (
            partition by
                members.delivery_id,
                members.entity_type,
                members.entity_id,
                members.destination,
                members.destination_id
            order by
                case when members.error is null then 1 else 0 end,
                members.ended_at desc nulls last,
                members.attempted_at desc nulls last,
                members.tie desc
        ) as place_of_error
    from members
    where not members.is_alone
),

chains as (
    select
        placed.delivery_id,
        placed.entity_type,
        placed.entity_id,
        placed.destination,
        placed.destination_id,
        bool_or(placed.is_sandbox) as is_sandbox,
        max(placed.started_at) as started_at,
        max(placed.completed_at) as ended_at,
        min(placed.ended_at) filter (where placed.run_class = 'succeeded') as first_succeeded_at,
        max(placed.ended_at) filter (where placed.run_class = 'succeeded') as last_succeeded_at,
        max(placed.run_class) filter (where placed.place_at_start = 1) as first_attempt_class,
        max(placed.completed_at) filter (where placed.place_at_start = 1) as first_attempt_completed_at,
        max(placed.run_class) filter (where placed.place_at_end = 1) as last_attempt_class,
        max(placed.status) filter (where placed.place_at_end = 1) as last_status,
        max(placed.error) filter (where placed.place_of_error = 1) as last_error,
        count(*) as run_count,
        count(*) filter (where placed.run_class = 'succeeded') as succeeded_run_count,
        count(*) filter (where placed.run_class = 'failed') as failed_run_count,
        count(*) filter (where placed.run_class = 'blocked') as blocked_run_count,
        count(*) filter (where placed.run_class = 'superseded') as superseded_run_count,
        count(*) filter (where placed.run_class = 'in_flight') as in_flight_run_count,
        count(*) filter (where placed.run_class = 'unknown') as unknown_run_count
    from placed
    group by
        placed.delivery_id,
        placed.entity_type,
        placed.entity_id,
        placed.destination,
        placed.destination_id
),

-- Most runs stand alone: what would be found of each by grouping is said of it as it is, in half the time.
singles as (
    select
        members.delivery_id,
        members.entity_type,
        members.entity_id,
        members.destination,
        members.destination_id,
        members.is_sandbox,
        members.started_at,
        members.completed_at as ended_at,
        case when members.run_class = 'succeeded' then members.ended_at end as first_succeeded_at,
        case when members.run_class = 'succeeded' then members.ended_at end as last_succeeded_at,
        members.run_class as first_attempt_class,
        members.completed_at as first_attempt_completed_at,
        members.run_class as last_attempt_class,
        members.status as last_status,
        members.error as last_error,
        1 as run_count,
        case when members.run_class = 'succeeded' then 1 else 0 end as succeeded_run_count,
        case when members.run_class = 'failed' then 1 else 0 end as failed_run_count,
        case when members.run_class = 'blocked' then 1 else 0 end as blocked_run_count,
        case when members.run_class = 'superseded' then 1 else 0 end as superseded_run_count,
        case when members.run_class = 'in_flight' then 1 else 0 end as in_flight_run_count,
        case when members.run_class = 'unknown' then 1 else 0 end as unknown_run_count
    from members
    where members.is_alone
),

deliveries as (
    select chains.* from chains
    union all
    select singles.* from singles
)

select
    deliveries.delivery_id, -- Id of the run at the head of the chain, of a circle of parents the earliest run; a chain that reached several destinations has a row with it for each.
    deliveries.entity_type, -- Bill or Notification.
    deliveries.entity_id, -- The bill or the notification configuration that was sent.
    deliveries.destination, -- Kind of system it was sent to, such as NETSUITE.
    deliveries.destination_id, -- Which system of that kind.
    case
        when deliveries.succeeded_run_count > 0 then 'succeeded'
        when deliveries.in_flight_run_count > 0 then 'in_flight'
        else deliveries.last_attempt_class
    end as delivery_class, -- Outcome: succeeded if any run of it succeeded; else in_flight if any is; else the class of the run that ended last.
    deliveries.last_status, -- Status of the run that ended last; a run that has not ended counts with its start.
    deliveries.last_error, -- The latest error text of its runs, also where a retry made it good.
    deliveries.first_attempt_class, -- Class of the run that started first.
    deliveries.run_count as attempt_count, -- Runs that belong to it.
    deliveries.succeeded_run_count, -- Of these, runs that succeeded.
    deliveries.failed_run_count, -- Of these, runs that failed.
    deliveries.blocked_run_count, -- Of these, runs that were blocked.
    deliveries.superseded_run_count, -- Of these, runs that were superseded.
    deliveries.in_flight_run_count, -- Of these, runs in flight.
    deliveries.unknown_run_count, -- Of these, runs of a status that is not in status_class.
    case
        when
            deliveries.first_attempt_class = 'failed'
            and deliveries.first_attempt_completed_at is not null
            and deliveries.first_succeeded_at is not null
            then greatest(
                0, m3ter_staging.seconds_between(deliveries.first_attempt_completed_at, deliveries.first_succeeded_at)
            )
    end as seconds_to_recover, -- For a recovered one, seconds from the end of the first attempt to the first success; NULL when one of the two is not known.
    deliveries.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX).
    deliveries.first_attempt_class = 'failed' as first_attempt_failed, -- The run that started first failed.
    deliveries.succeeded_run_count > 0 and deliveries.first_attempt_class = 'failed' as is_recovered, -- It succeeded although its first attempt had failed.
    m3ter_staging.utc_day(deliveries.started_at) as started_on, -- UTC day of started_at: the day it counts on.
    deliveries.started_at, -- When its root started or, not started, was made.
    case
        when deliveries.succeeded_run_count > 0 or deliveries.in_flight_run_count = 0 then deliveries.ended_at
    end as ended_at, -- When its last run ended; NULL while it is in flight.
    deliveries.last_succeeded_at -- When its last success came; NULL without one, or when that is not known.
from deliveries
