-- Grain: one row per currency, destination and class of delivery that leaves a bill undelivered.
-- For: how much money is not where it should be. Never summed across currencies.
with
undelivered as (
    -- A bill that is missing from two systems of one kind counts once.
    select
        bills.currency,
        bills.destination,
        bills.is_sandbox,
        bills.delivery_class,
        bills.bill_id,
        max(bills.bill_total) as bill_total,
        min(bills.since) as since
    from m3ter.bill_delivery_status as bills
    where bills.delivery_class not in ('succeeded', 'superseded')
    group by bills.currency, bills.destination, bills.is_sandbox, bills.delivery_class, bills.bill_id
)

select
    undelivered.currency, -- Currency of the amount; NULL for bills that are not loaded.
    undelivered.destination, -- Kind of system that the bills are missing from.
    undelivered.delivery_class, -- failed and blocked need someone to act; in_flight may still arrive; unknown cannot be told.
    count(*) as bill_count, -- Bills.
    count(*) filter (where undelivered.bill_total is null) as bill_without_total_count, -- Of these, bills whose total is not known: the amount lacks them.
    cast(sum(undelivered.bill_total) as decimal(38, 9)) as undelivered_amount, -- Their total in the currency.
    undelivered.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX); leave it out of a headline.
    min(undelivered.since) as oldest_since -- Since when the first of them is missing.
from undelivered
group by
    undelivered.currency,
    undelivered.destination,
    undelivered.delivery_class,
    undelivered.is_sandbox
