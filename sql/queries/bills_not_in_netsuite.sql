-- Which bills are not in NetSuite, and why?
-- The newest delivery decides: an old success never hides a newer failure.
select
    bill.bill_id,
    bill.account_code,
    bill.sequential_invoice_number,
    bill.currency,
    bill.bill_total,
    bill.delivery_class,
    bill.since,
    bill.attempt_count,
    bill.last_error
from m3ter.bill_delivery_status as bill
where bill.destination = 'NETSUITE' and bill.delivery_class not in ('succeeded', 'superseded')
order by bill.bill_total desc nulls last
