-- Grain: one row per row of m3ter's that could not be read.
-- For: sync_status, and whoever mends the reason.
select
    cast(rejected.table_name as varchar) as table_name, -- The table it was meant for.
    cast(rejected.entity_type as varchar) as entity_type, -- What was being listed: Bill or Notification.
    cast(rejected.entity_id as varchar) as entity_id, -- Its id.
    cast(rejected.reason as varchar) as reason, -- What is wrong with it.
    cast(rejected.source as varchar) as source, -- The row as it was served, JSON.
    cast(rejected.rejected_at as timestamptz) as rejected_at, -- When it was first seen.
    m3ter_staging.load_time(rejected._dlt_load_id) as loaded_at -- When the load began that brought it.
from m3ter_raw.rejected_rows as rejected
