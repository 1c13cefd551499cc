-- Grain: one row per stay of an event type in the organization's list.
-- For: the coverage marts, whose denominator are the types that are_current.
select
    cast(versions.name as varchar) as event_type, -- The event type, such as billing.bill.created.
    coalesce(
        cast(versions.name as varchar) like 'integration.%.error'
        or cast(versions.name as varchar) in ('ingest.validation.failure', 'dataexport.job.failure'),
        false
    ) as is_critical, -- Money or data stops when nobody hears of it: integration.*.error, ingest.validation.failure, dataexport.job.failure.
    versions._dlt_valid_to is null as is_current, -- It is a live event type.
    cast(versions._dlt_valid_from as timestamptz) as valid_from_at, -- When a sync first saw it.
    cast(versions._dlt_valid_to as timestamptz) as valid_to_at, -- When a sync first saw it gone; NULL while it is live.
    m3ter_staging.load_time(versions._dlt_load_id) as loaded_at -- When the load began that brought the row as it is.
from m3ter_raw.event_types as versions
