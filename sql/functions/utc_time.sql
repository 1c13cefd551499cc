-- An instant as a UTC wall-clock time, whatever the session's time zone, and without the ICU extension.
create or replace macro m3ter_staging.utc_time(instant) as
make_timestamp(epoch_us(instant));
