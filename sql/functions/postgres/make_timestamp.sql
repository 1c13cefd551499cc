-- The UTC wall-clock time so many microseconds after 1970.
create or replace macro make_timestamp(microseconds) as
timestamp 'epoch' + microseconds * interval '1 microsecond';
