-- Interpolated, as DuckDB's is; exact, not percentile_approx.
create or replace macro quantile_cont(value, share) as
percentile(value, share);
