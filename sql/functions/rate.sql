-- A share in 0-1; NULL, never 0, when there is nothing to share.
create or replace macro m3ter_staging.rate(hits, trials) as
cast(hits as double) / nullif(trials, 0);
