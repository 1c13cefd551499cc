-- The instant so many microseconds after 1970.
create or replace macro make_timestamptz(microseconds) as
dateadd(microsecond, microseconds % 1000000, dateadd(second, microseconds / 1000000, timestamptz '1970-01-01 00:00:00+00'));
