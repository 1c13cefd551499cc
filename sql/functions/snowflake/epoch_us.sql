-- Microseconds since 1970.
create or replace macro epoch_us(instant) as
date_part(epoch_microsecond, instant);
