-- Microseconds since 1970.
create or replace macro epoch_us(instant) as
cast(extract(epoch from instant) * 1000000 as bigint);
