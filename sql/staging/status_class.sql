-- Grain: one row per status of m3ter. The only place that says what a status means.
-- For: every model that counts outcomes; read it beside the numbers.
-- Materialized: table
select
    cast(listed.status as varchar) as status, -- Status as m3ter writes it.
    cast(listed.class as varchar) as class, -- succeeded, failed, superseded, blocked or in_flight; a status not listed here is unknown.
    cast(listed.in_failure_rate as varchar) as in_failure_rate, -- Its part in a failure rate: denominator, numerator and denominator, or no.
    cast(listed.reason as varchar) as reason -- Why it is in this class.
from read_csv(getvariable('m3ter_reference_folder') || '/status_class.csv', header = true, all_varchar = true) as listed
