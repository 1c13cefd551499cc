-- Grain: one row per kind of error: error texts that differ only in ids, numbers, addresses, quoted values and dates are one kind.
-- For: deciding which error to fix first.
-- Sandbox destinations are left out unless the setting counts_sandbox says otherwise.
-- Materialized: table
with
errors as (
    select
        coalesce(m3ter_staging.error_template(runs.error), '(no text)') as error_template,
        runs.run_id,
        runs.run_class,
        runs.entity_id,
        runs.destination,
        runs.error,
        runs.attempted_at,
        md5(runs.run_id) as tie
    from m3ter_staging.integration_runs as runs
    cross join m3ter_staging.settings as given
    where
        (runs.error is not null or runs.run_class = 'failed')
        and (given.counts_sandbox or not runs.is_sandbox)
),

-- The newest run of a kind is its example; one without a text is none.
placed as (
    select
        errors.error_template,
        errors.run_id,
        errors.run_class,
        errors.entity_id,
        errors.destination,
        errors.error,
        errors.attempted_at,
        row_number() over (
            partition by errors.error_template
            order by
                case when errors.error is null then 1 else 0 end,
                errors.attempted_at desc nulls last,
                errors.tie desc
        ) as place
    from errors
),

kinds as (
    select
        placed.error_template,
        count(*) as run_count,
        count(*) filter (where placed.run_class = 'failed') as failed_run_count,
        count(distinct placed.entity_id) as entity_count,
        count(distinct placed.destination) as destination_count,
        max(placed.error) filter (where placed.place = 1) as example_error,
        max(placed.run_id) filter (where placed.place = 1) as example_run_id,
        min(placed.attempted_at) as first_seen_at,
        max(placed.attempted_at) as last_seen_at
    from placed
    group by placed.error_template
),

destinations as (
    select
        places.error_template,
        string_agg(places.destination, ', ' order by places.destination nulls first) as destinations
    from (select distinct errors.error_template, errors.destination from errors) as places
    group by places.error_template
)

select
    kinds.error_template, -- The error text with all that varies masked; (no text) for runs that failed without one.
    kinds.run_count, -- Runs with it.
    kinds.failed_run_count, -- Of these, runs that failed; the others wait for a retry, say.
    kinds.entity_count, -- Bills and notifications that were struck.
    kinds.destination_count, -- Destinations that gave it.
    destinations.destinations, -- Their names.
    kinds.example_error, -- Its newest text in full.
    kinds.example_run_id, -- The run that has it.
    kinds.first_seen_at > m3ter_staging.minus_days(now_is.as_of, given.new_error_days) as is_new, -- First seen in the last 7 days (setting new_error_days) before the last sync that succeeded, or since.
    kinds.first_seen_at, -- When the first run with it started.
    kinds.last_seen_at -- When the last run with it started.
from kinds
inner join destinations on kinds.error_template = destinations.error_template
cross join m3ter_staging.settings as given
cross join m3ter_staging.as_of as now_is
