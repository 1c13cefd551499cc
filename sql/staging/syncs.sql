-- Grain: one row per sync, however it ended.
-- For: load_history, sync_status and as_of.
select
    cast(syncs.sync_id as varchar) as sync_id, -- The sync.
    -- Older versions wrote no number; their syncs come first.
    row_number() over (order by syncs.sync_number nulls first, syncs.started_at) as sync_number, -- Rises from sync to sync, also where the clock was put back.
    cast(syncs.outcome as varchar) as outcome, -- succeeded; partial: it was limited to some entities; stopped; or failed.
    cast(syncs.error as varchar) as error, -- What it failed of.
    cast(syncs.seconds as double) as sync_seconds, -- How long fetching and loading took; models, checks and publishing come after.
    cast(syncs.request_count as bigint) as request_count, -- Requests sent, repeated ones included.
    cast(syncs.retry_count as bigint) as retry_count, -- Of these, repeated ones.
    cast(syncs.throttled_count as bigint) as throttled_count, -- Answers that said to slow down (429).
    cast(syncs.entity_count as bigint) as entity_count, -- Bills and notifications known.
    cast(syncs.listed_entity_count as bigint) as listed_entity_count, -- Of these, asked for their runs.
    cast(syncs.skipped_entity_count as bigint) as skipped_entity_count, -- Of these, left out because nothing had changed.
    cast(syncs.gone_entity_count as bigint) as gone_entity_count, -- Of these, no longer there.
    cast(syncs.fetched_row_count as bigint) as fetched_row_count, -- Rows served.
    cast(syncs.new_row_count as bigint) as new_row_count, -- Of these, new to the warehouse.
    cast(syncs.changed_row_count as bigint) as changed_row_count, -- Of these, changed since the warehouse saw them.
    cast(syncs.deleted_row_count as bigint) as deleted_row_count, -- Rows that were no longer listed.
    cast(syncs.rejected_row_count as bigint) as rejected_row_count, -- Rows set aside because they could not be read.
    cast(syncs.started_at as timestamptz) as started_at, -- When it began.
    cast(syncs.finished_at as timestamptz) as finished_at -- When it ended.
from m3ter_raw.syncs as syncs
