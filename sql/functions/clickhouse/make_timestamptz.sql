-- The instant so many microseconds after 1970.
create or replace macro make_timestamptz(microseconds) as
fromUnixTimestamp64Micro(microseconds, 'UTC');
