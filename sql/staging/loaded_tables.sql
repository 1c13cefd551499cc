-- Grain: one row per table of m3ter_raw that a model reads.
-- For: the models: what was never loaded is NULL in them, not 0.
-- Materialized: table
select
    expected.table_name, -- Name of the table in m3ter_raw.
    present.table_name is not null as is_loaded -- False when no sync has loaded it, for example because a permission is missing.
from (
    values
    ('integration_runs'),
    ('notification_configurations'),
    ('integration_configurations'),
    ('bills'),
    ('event_types'),
    ('rejected_rows'),
    ('syncs')
) as expected (table_name)
left join duckdb_tables() as present
    on
        expected.table_name = present.table_name
        and present.schema_name = 'm3ter_raw'
        and present.database_name = current_database()
