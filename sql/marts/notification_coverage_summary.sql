-- Grain: one row per step of the coverage ladder and scope.
-- For: the headline: which share of the event types would reach someone. It is step C3, scope all.
-- Materialized: table
with
steps as (
    select
        listed.step,
        listed.step_name
    from (
        values
        ('C1', 'configured'),
        ('C2', 'active'),
        ('C3', 'deliverable'),
        ('C4', 'unconditional'),
        ('C5', 'proven')
    ) as listed (step, step_name)
),

scopes as (
    select listed.scope
    from (values ('all'), ('critical')) as listed (scope)
),

answers as (
    select
        events.is_critical,
        steps.step,
        case steps.step
            when 'C1' then events.is_configured
            when 'C2' then events.is_active
            when 'C3' then events.is_deliverable
            when 'C4' then events.is_unconditional
            when 'C5' then events.is_proven
        end as is_covered
    from m3ter.event_coverage as events
    cross join steps
),

counts as (
    select
        steps.step,
        steps.step_name,
        scopes.scope,
        count(answers.step) as event_type_count,
        count(*) filter (where answers.is_covered) as covered_count
    from steps
    cross join scopes
    left join answers on steps.step = answers.step and (scopes.scope = 'all' or answers.is_critical)
    group by steps.step, steps.step_name, scopes.scope
),

known as (
    select
        counts.step,
        counts.step_name,
        counts.scope,
        -- What was never loaded is NULL, and so is all that depends on it.
        case when loaded.has_event_types then counts.event_type_count end as event_type_count,
        case
            when counts.step in ('C1', 'C2') and loaded.has_event_types and loaded.has_notifications
                then counts.covered_count
            when counts.step in ('C3', 'C4') and loaded.has_event_types and loaded.has_notifications and loaded.has_links
                then counts.covered_count
            when
                counts.step = 'C5'
                and loaded.has_event_types and loaded.has_notifications and loaded.has_links and loaded.has_runs
                and now_is.as_of is not null
                then counts.covered_count
        end as covered_count
    from counts
    cross join m3ter_staging.loaded as loaded
    cross join m3ter_staging.as_of as now_is
)

select
    known.step, -- C1 to C5. C1, C2 and C3 each lie within the one before; C4 and C5 within C3.
    known.step_name, -- configured, active, deliverable, unconditional or proven.
    known.scope, -- all live event types, or the critical ones: integration.*.error, ingest.validation.failure, dataexport.job.failure.
    known.covered_count, -- Event types with a notification that reaches the step; NULL where what is needed to tell was not loaded yet.
    known.event_type_count, -- Live event types of the scope.
    m3ter_staging.rate(known.covered_count, known.event_type_count) as coverage_rate, -- covered_count / event_type_count.
    m3ter_staging.wilson_low(known.covered_count, known.event_type_count) as coverage_rate_low, -- Lower end of its 95 % Wilson interval.
    m3ter_staging.wilson_high(known.covered_count, known.event_type_count) as coverage_rate_high -- Upper end of its 95 % Wilson interval.
from known
