-- Microseconds since 1970.
create or replace macro epoch_us(instant) as
toUnixTimestamp64Micro(cast(instant as Nullable(DateTime64(6, 'UTC'))));
