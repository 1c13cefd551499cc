-- When a load began, from its id, which dlt makes of the seconds since 1970; NULL for another id.
create or replace macro m3ter_staging.load_time(load_id) as
make_timestamptz(cast(round(try_cast(load_id as decimal(20, 8)) * 1000000) as bigint));
