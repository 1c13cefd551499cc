-- Grain: one row.
-- For: the coverage marts: what was never loaded makes their columns NULL.
select
    bool_or(listed.is_loaded) filter (where listed.table_name = 'event_types') as has_event_types, -- m3ter_raw.event_types was loaded.
    bool_or(listed.is_loaded) filter (where listed.table_name = 'notification_configurations') as has_notifications, -- m3ter_raw.notification_configurations was loaded.
    bool_or(listed.is_loaded) filter (where listed.table_name = 'integration_configurations') as has_links, -- m3ter_raw.integration_configurations was loaded.
    bool_or(listed.is_loaded) filter (where listed.table_name = 'integration_runs') as has_runs -- m3ter_raw.integration_runs was loaded.
from m3ter_staging.loaded_tables as listed
