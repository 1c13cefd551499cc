-- Seconds from one instant to another, to the microsecond. Subtracting the instants themselves
-- would count calendar days in the session's time zone, where a day can have 23 hours.
create or replace macro m3ter_staging.seconds_between(earlier, later) as
cast(epoch_us(later) - epoch_us(earlier) as double) / 1000000;
