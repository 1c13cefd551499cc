-- The instant so many microseconds after 1970.
create or replace macro make_timestamptz(microseconds) as
cast(to_timestamp_ntz(microseconds, 6) as timestamp_tz);
