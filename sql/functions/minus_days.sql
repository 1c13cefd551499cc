-- The instant that lies so many times 24 hours before another.
create or replace macro m3ter_staging.minus_days(instant, days) as
make_timestamptz(epoch_us(instant) - days * 86400000000);
