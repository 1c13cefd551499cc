-- BigQuery's own is a window function alone.
create or replace macro quantile_cont(value, share) as
(select percentile_cont(each_value, share) over () from unnest(array_agg(value ignore nulls)) as each_value limit 1);
