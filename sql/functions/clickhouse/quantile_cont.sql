-- Interpolated and exact.
create or replace macro quantile_cont(value, share) as
quantileExactInclusive(share)(value);
