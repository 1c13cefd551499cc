-- Grain: one row per version of an integration configuration, as the complete listings showed it.
-- For: the coverage marts: it links an entity to a destination; the row now in force is the one that is_current.
select
    cast(versions.id as varchar) as integration_configuration_id, -- The integration configuration.
    cast(versions.name as varchar) as integration_configuration_name, -- Its name.
    cast(versions.entity_type as varchar) as entity_type, -- What it sends: Bill or Notification.
    cast(versions.entity_id as varchar) as entity_id, -- For a Notification the id of the notification configuration.
    cast(versions.destination as varchar) as destination, -- Kind of system it sends to.
    cast(versions.destination_id as varchar) as destination_id, -- Which system of that kind.
    cast(versions.trigger_type as varchar) as trigger_type, -- What sets it off.
    cast(versions.version as bigint) as version, -- Rises with every change of the configuration.
    coalesce(cast(versions.enabled as boolean), false) as is_enabled, -- It is switched on; one that does not say so is not.
    coalesce(cast(versions.authorized as boolean), true) as is_authorized, -- The destination accepts its credentials; one that says nothing counts as authorized.
    m3ter_staging.is_sandbox_destination(versions.destination) as is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX).
    versions._dlt_valid_to is null as is_current, -- The version now in force.
    cast(versions.dt_created as timestamptz) as created_at, -- When the configuration was made.
    cast(versions.dt_last_modified as timestamptz) as modified_at, -- When it last changed.
    cast(versions._dlt_valid_from as timestamptz) as valid_from_at, -- When a sync first saw this version.
    cast(versions._dlt_valid_to as timestamptz) as valid_to_at, -- When a sync first saw it changed or gone; NULL while it is in force.
    m3ter_staging.load_time(versions._dlt_load_id) as loaded_at -- When the load began that brought the row as it is.
from m3ter_raw.integration_configurations as versions
