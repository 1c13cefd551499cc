-- Grain: one row per sync, however it ended.
-- For: whether and how the data keeps coming.
select
    syncs.sync_id, -- The sync.
    syncs.outcome, -- succeeded; partial: it was limited to some entities; stopped; or failed.
    syncs.error, -- What it failed of.
    syncs.sync_seconds, -- How long it took.
    syncs.request_count, -- Requests sent, repeated ones included.
    syncs.retry_count, -- Of these, repeated ones.
    syncs.throttled_count, -- Answers that said to slow down (429).
    syncs.entity_count, -- Bills and notifications known.
    syncs.listed_entity_count, -- Of these, asked for their runs.
    syncs.skipped_entity_count, -- Of these, left out because nothing had changed.
    syncs.gone_entity_count, -- Of these, no longer there.
    syncs.fetched_row_count, -- Rows served.
    syncs.new_row_count, -- Of these, new to the warehouse.
    syncs.changed_row_count, -- Of these, changed since the warehouse saw them.
    syncs.deleted_row_count, -- Rows that were no longer listed.
    syncs.rejected_row_count, -- Rows set aside because they could not be read.
    syncs.started_at, -- When it began.
    syncs.finished_at -- When it ended.
from m3ter_staging.syncs as syncs
