-- The lower end of the 95 % Wilson interval of hits out of trials; NULL where that is.
-- By symmetry it is what the upper end of the misses leaves.
create or replace macro m3ter_staging.wilson_low(hits, trials) as
1 - m3ter_staging.wilson_high(trials - hits, trials);
