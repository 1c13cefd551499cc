-- Grain: one row per bill.
-- For: the marts that say how much money has not arrived.
select
    cast(bills.id as varchar) as bill_id, -- The bill.
    cast(bills.account_id as varchar) as account_id, -- Whose bill it is.
    cast(bills.account_code as varchar) as account_code, -- The account's code.
    cast(bills.sequential_invoice_number as varchar) as sequential_invoice_number, -- Its number as an invoice.
    cast(bills.external_invoice_reference as varchar) as external_invoice_reference, -- Its reference in the invoicing system.
    cast(bills.status as varchar) as bill_status, -- PENDING, APPROVED, …
    cast(bills.currency as varchar) as currency, -- Currency of the total.
    cast(bills.bill_total as decimal(38, 9)) as bill_total, -- Total in that currency.
    cast(bills.version as bigint) as version, -- Rises with every change of the bill.
    cast(bills.locked as boolean) as is_locked, -- It can no longer change.
    cast(bills.bill_date as date) as billed_on, -- Date on the bill.
    cast(bills.start_date as date) as period_starts_on, -- First day of what it bills.
    cast(bills.end_date as date) as period_ends_on, -- Day on which what it bills ends.
    cast(bills.due_date as date) as due_on, -- When it is to be paid.
    cast(bills.dt_created as timestamptz) as created_at, -- When it was made.
    cast(bills.dt_last_modified as timestamptz) as modified_at, -- When it last changed.
    cast(bills.dt_approved as timestamptz) as approved_at, -- When it was approved.
    m3ter_staging.load_time(bills._dlt_load_id) as loaded_at -- When the load began that brought the row as it is.
from m3ter_raw.bills as bills
