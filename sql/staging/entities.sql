-- Grain: one row per bill or notification that was asked for its runs, and one for the organization.
-- For: sync_status; it says how much of the organization is covered.
select
    cast(entities.entity_type as varchar) as entity_type, -- Bill, Notification, or Organization for the listing of all bills.
    cast(entities.entity_id as varchar) as entity_id, -- Its id.
    coalesce(cast(entities.is_gone as boolean), false) as is_gone, -- m3ter answered that there is none.
    cast(entities.listed_at as timestamptz) as listed_at, -- When its last complete listing began.
    to_timestamp(try_cast(entities._dlt_load_id as double)) as loaded_at -- When the load began that brought the row as it is.
from m3ter_raw.entities as entities
