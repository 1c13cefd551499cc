-- The upper end of the 95 % Wilson interval of hits out of trials; NULL without trials, or when hits are not known.
-- Held within [hits / trials, 1], so that rounding never puts it on the wrong side of its rate.
create or replace macro m3ter_staging.wilson_high(hits, trials) as
case
    when trials > 0 and hits is not null
        then least(1e0, greatest(
            cast(hits as double) / trials,
            (
                cast(hits as double) / trials + pow(1.959964e0, 2) / (2 * trials)
                + 1.959964e0 * sqrt(
                    (cast(hits as double) / trials) * (1 - cast(hits as double) / trials) / trials + pow(1.959964e0, 2) / (4 * pow(trials, 2))
                )
            ) / (1 + pow(1.959964e0, 2) / trials)
        ))
end;
