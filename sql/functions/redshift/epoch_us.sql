-- Microseconds since 1970. Of an instant, extract gives whole seconds and apart from them the microseconds.
create or replace macro epoch_us(instant) as
(extract(epoch from instant) * 1000000 + extract(microsecond from instant));
