-- Grain: one row per version of a notification configuration, as the complete listings showed it.
-- For: the coverage marts; the row now in force is the one that is_current.
select
    cast(versions.id as varchar) as notification_id, -- The notification configuration.
    cast(versions.name as varchar) as notification_name, -- Its name.
    cast(versions.code as varchar) as notification_code, -- Its code.
    cast(versions.description as varchar) as description, -- What it is for, in its author's words.
    cast(versions.event_name as varchar) as event_name, -- The event type it listens to.
    cast(versions.calculation as varchar) as calculation, -- The condition under which it fires.
    cast(versions.version as bigint) as version, -- Rises with every change of the configuration.
    coalesce(cast(versions.active as boolean), false) as is_active, -- It is switched on; one that does not say so is not.
    coalesce(cast(versions.always_fire_event as boolean), false) as always_fires, -- It fires whatever its calculation says.
    versions._dlt_valid_to is null as is_current, -- The version now in force.
    cast(versions.dt_created as timestamptz) as created_at, -- When the configuration was made.
    cast(versions.dt_last_modified as timestamptz) as modified_at, -- When it last changed.
    cast(versions._dlt_valid_from as timestamptz) as valid_from_at, -- When a sync first saw this version.
    cast(versions._dlt_valid_to as timestamptz) as valid_to_at, -- When a sync first saw it changed or gone; NULL while it is in force.
    m3ter_staging.load_time(versions._dlt_load_id) as loaded_at -- When the load began that brought the row as it is.
from m3ter_raw.notification_configurations as versions
