-- PostgreSQL 15 has no try_cast; an id of dlt's is a decimal number.
create or replace macro m3ter_staging.load_time(load_id) as
case
    when load_id ~ '^[0-9]{1,11}([.][0-9]*)?$'
        then timestamp with time zone 'epoch' + cast(round(cast(load_id as numeric) * 1000000) as bigint) * interval '1 microsecond'
end;
