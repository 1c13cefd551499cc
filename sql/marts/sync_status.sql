-- Grain: one row per table that is loaded from m3ter.
-- For: reading beside every other view: how fresh it is, and whether a table it rests on is missing.
-- Materialized: table
with
facts as (
    select
        'integration_runs' as table_name,
        count(*) as row_count,
        max(runs.modified_at) as newest_record_at,
        max(runs.loaded_at) as last_changed_at
    from m3ter_staging.integration_runs as runs
    union all
    select
        'notification_configurations' as table_name,
        count(*) filter (where versions.is_current) as row_count,
        max(versions.modified_at) as newest_record_at,
        max(versions.loaded_at) as last_changed_at
    from m3ter_staging.notification_configurations as versions
    union all
    select
        'integration_configurations' as table_name,
        count(*) filter (where versions.is_current) as row_count,
        max(versions.modified_at) as newest_record_at,
        max(versions.loaded_at) as last_changed_at
    from m3ter_staging.integration_configurations as versions
    union all
    select
        'event_types' as table_name,
        count(*) filter (where versions.is_current) as row_count,
        cast(null as timestamptz) as newest_record_at,
        max(versions.loaded_at) as last_changed_at
    from m3ter_staging.event_types as versions
    union all
    select
        'bills' as table_name,
        count(*) as row_count,
        max(bills.modified_at) as newest_record_at,
        max(bills.loaded_at) as last_changed_at
    from m3ter_staging.bills as bills
),

rejected as (
    select
        rows_aside.table_name,
        count(*) as rejected_row_count
    from m3ter_staging.rejected_rows as rows_aside
    group by rows_aside.table_name
),

last_sync as (
    select
        max(syncs.started_at) as started_at,
        max(syncs.finished_at) as finished_at
    from m3ter_staging.syncs as syncs
    where
        syncs.sync_number = (
            select max(succeeded.sync_number) from m3ter_staging.syncs as succeeded
            where succeeded.outcome = 'succeeded'
        )
)

select
    facts.table_name, -- The table of m3ter_raw.
    case when listed.is_loaded then facts.row_count end as row_count, -- Rows that hold now; NULL: it was never loaded.
    coalesce(rejected.rejected_row_count, 0) as rejected_row_count, -- Rows set aside because they could not be read.
    listed.is_loaded, -- False: no sync has loaded it, and what depends on it is NULL.
    case when listed.is_loaded then last_sync.started_at end as as_of, -- Start of the last sync that succeeded: all windows roll back from here.
    case when listed.is_loaded then last_sync.finished_at end as last_loaded_at, -- When that sync ended: the last successful load.
    facts.last_changed_at, -- When the last load began that brought a new or changed row.
    facts.newest_record_at -- When m3ter last changed any of its rows.
from facts
inner join m3ter_staging.loaded_tables as listed on facts.table_name = listed.table_name
cross join last_sync
left join rejected on facts.table_name = rejected.table_name
