-- Microseconds since 1970.
create or replace macro epoch_us(instant) as
unix_micros(instant);
