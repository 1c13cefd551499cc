-- The UTC day of an instant, whatever the session's time zone, and without the ICU extension.
create or replace macro m3ter_staging.utc_day(instant) as
cast(make_timestamp(epoch_us(instant)) as date);
