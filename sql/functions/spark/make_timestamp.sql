-- The UTC wall-clock time so many microseconds after 1970. Not of the session's time zone, as a cast of an instant is.
create or replace macro make_timestamp(microseconds) as
timestamp_ntz '1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, cast(microseconds as decimal(18, 0)) / 1000000);
