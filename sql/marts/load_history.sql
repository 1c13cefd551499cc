-- Grain: one row per sync, however it ended.
-- For: whether and how the data keeps coming.

-- The columns are explained in m3ter_staging.syncs.
select
    syncs.sync_id,
    syncs.sync_number,
    syncs.outcome,
    syncs.error,
    syncs.sync_seconds,
    syncs.request_count,
    syncs.retry_count,
    syncs.throttled_count,
    syncs.entity_count,
    syncs.listed_entity_count,
    syncs.skipped_entity_count,
    syncs.gone_entity_count,
    syncs.fetched_row_count,
    syncs.new_row_count,
    syncs.changed_row_count,
    syncs.deleted_row_count,
    syncs.rejected_row_count,
    syncs.started_at,
    syncs.finished_at
from m3ter_staging.syncs as syncs
