-- How much money is not in NetSuite, per currency?
-- Amounts of different currencies are never added up.
select
    amount.currency,
    amount.delivery_class,
    amount.bill_count,
    amount.bill_without_total_count,
    amount.undelivered_amount,
    amount.oldest_since
from m3ter.undelivered_amounts as amount
where amount.destination = 'NETSUITE'
order by amount.currency asc, amount.undelivered_amount desc
