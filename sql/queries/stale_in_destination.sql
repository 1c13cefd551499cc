-- Which bills changed after they were sent, so that the destination has an old version?
select
    bill.bill_id,
    bill.destination,
    bill.currency,
    bill.bill_total,
    bill.bill_modified_at,
    bill.last_succeeded_at
from m3ter.bill_delivery_status as bill
where bill.is_stale_in_destination and not bill.is_sandbox
order by bill.bill_modified_at desc
