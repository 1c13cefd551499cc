-- Grain: one row per bill, destination and destination id that it was ever sent to, as it stands now.
-- For: finding bills that are not where they should be; an old success never hides a newer failure.
-- Materialized: table
with
sent as (
    select
        deliveries.*,
        lag(deliveries.delivery_class) over (
            partition by deliveries.entity_id, deliveries.destination, deliveries.destination_id
            order by deliveries.started_at nulls first, deliveries.delivery_id
        ) as previous_class,
        lead(1) over (
            partition by deliveries.entity_id, deliveries.destination, deliveries.destination_id
            order by deliveries.started_at nulls first, deliveries.delivery_id
        ) is null as is_newest
    from m3ter.integration_deliveries as deliveries
    where deliveries.entity_type = 'Bill'
),

newest as (
    select
        sent.entity_id as bill_id,
        sent.destination,
        sent.destination_id,
        bool_or(sent.is_sandbox) as is_sandbox,
        max(sent.delivery_id) filter (where sent.is_newest) as delivery_id,
        max(sent.delivery_class) filter (where sent.is_newest) as delivery_class,
        max(sent.last_status) filter (where sent.is_newest) as last_status,
        max(sent.last_error) filter (where sent.is_newest) as last_error,
        max(sent.attempt_count) filter (where sent.is_newest) as attempt_count,
        max(sent.started_at) filter (where sent.is_newest) as started_at,
        max(sent.started_at) filter (where sent.delivery_class is distinct from sent.previous_class) as since,
        max(sent.last_succeeded_at) as last_succeeded_at,
        count(*) as delivery_count
    from sent
    group by sent.entity_id, sent.destination, sent.destination_id
)

-- Columns that say nothing here are explained in m3ter_staging.bills.
select
    newest.bill_id, -- The bill.
    newest.destination, -- Kind of system it was sent to, such as NETSUITE.
    newest.destination_id, -- Which system of that kind.
    newest.delivery_id, -- Its newest delivery there: the one whose root started last.
    newest.delivery_class, -- Outcome of that delivery: succeeded, failed, superseded, blocked, in_flight, unknown.
    newest.last_status, -- Status of its last run.
    newest.last_error, -- Its latest error text.
    bills.account_id,
    bills.account_code,
    bills.sequential_invoice_number,
    bills.bill_status,
    bills.currency, -- Currency of bill_total; sums over several mean nothing.
    bills.bill_total, -- Total of the bill in its currency; NULL when the bill is not loaded.
    newest.attempt_count, -- Runs of its newest delivery.
    newest.delivery_count, -- Deliveries of it there.
    newest.is_sandbox, -- The destination is for trying out (*_TEST, *_SANDBOX).
    bills.modified_at > newest.last_succeeded_at as is_stale_in_destination, -- The bill changed after its last success there; NULL when it never succeeded.
    bills.billed_on,
    newest.since, -- Since when it has been so: start of the first of its latest deliveries with this outcome.
    newest.started_at, -- Start of its newest delivery.
    newest.last_succeeded_at, -- When it last got there.
    bills.modified_at as bill_modified_at -- When the bill last changed.
from newest
left join m3ter_staging.bills as bills on newest.bill_id = bills.bill_id
