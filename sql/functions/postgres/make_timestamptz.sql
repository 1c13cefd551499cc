-- The instant so many microseconds after 1970.
create or replace macro make_timestamptz(microseconds) as
timestamp with time zone 'epoch' + microseconds * interval '1 microsecond';
