-- The UTC wall-clock time so many microseconds after 1970.
create or replace macro make_timestamp(microseconds) as
fromUnixTimestamp64Micro(microseconds, 'UTC');
