-- A warehouse as a sync leaves it, with getvariable('run_count') runs: two years up to `as_of`.
--
-- Runs come in tens, a ten belonging to one bill, or one time in eleven to a notification: seven or
-- eight deliveries of one attempt, then one that takes two or three. Every destination has a bad
-- day now and then, on which most of its runs fail. All is made by hash: it is the same every time.
create schema m3ter_raw;
create macro as_of() as timestamptz '2025-06-30 12:00:00+00';
create macro id_of(kind, number) as cast(cast(md5(kind || number) as uuid) as varchar);
create macro draw(seed, kind, sides) as cast(hash(kind || seed) % sides as integer);
create macro pick(seed, kind, choices) as choices[1 + draw(seed, kind, len(choices))];
create macro load_id() as cast(epoch(as_of()) as varchar);

create temp table given as
select
    getvariable('run_count') // 10 as ten_count,
    getvariable('run_count') // 10 - getvariable('run_count') // 110 as bill_count,
    least(1000, greatest(1, getvariable('run_count') // 1000)) as notification_count;

create table m3ter_raw.integration_runs as
with places as (
    select
        run.number,
        run.number // 10 as ten,
        run.number % 10 as place,
        7 + draw(run.number // 10, 'retries', 2) as first_retried,
        run.number // 10 % 11 = 10 as is_notification
    from range(getvariable('run_count')) as run (number)
),

chains as (
    select
        places.*,
        places.place > first_retried as is_retry,
        places.place >= first_retried and places.place < 9 as is_retried,
        least(places.place, first_retried) as root_place,
        as_of() - to_days(730) + to_seconds(cast(63072000 * (ten / ten_count) as bigint)) as bill_made_at
    from places
    cross join given
),

attempts as (
    select
        chains.*,
        case
            when is_notification then pick(ten, 'to', ['WEBHOOK', 'WEBHOOK', 'SLACK', 'EMAIL'])
            when place < 6 then pick(ten, 'to', ['NETSUITE', 'NETSUITE', 'NETSUITE', 'STRIPE', 'STRIPE', 'XERO'])
            else pick(ten, 'also to', ['SALESFORCE', 'SALESFORCE', 'WEBHOOK', 'NETSUITE_SANDBOX'])
        end as destination,
        -- A delivery every two days, or what is left of the time; a retry a quarter of an hour later.
        bill_made_at + to_microseconds(cast(
            least(172800e6, (epoch_us(as_of()) - epoch_us(bill_made_at)) / 10)
            * (root_place + draw(ten * 10 + root_place, 'hour', 90) / 100 + (place - root_place) / 200) as bigint
        )) as dt_created
    from chains
),

outcomes as (
    select
        attempts.*,
        case
            when is_retried then pick(number, 'failure', ['ERROR', 'ERROR', 'TIMEOUT_LIMIT_EXCEEDED'])
            when dt_created > as_of() - to_hours(48) and draw(number, 'open', 10) = 0
                then pick(number, 'flight', ['WAITING', 'STARTED', 'AWAITING_RETRY', 'RATE_LIMIT_RETRY'])
            when draw(number, 'stuck', 100000) = 0 then 'STARTED'
            when draw(destination || cast(cast(dt_created as date) as varchar), 'bad day', 60) = 0
                and draw(number, 'outage', 10) < 7 then pick(number, 'outage', ['ERROR', 'AUTH_FAILED'])
            when draw(number, 'luck', 1000) < 30
                then pick(number, 'failure', ['ERROR', 'ERROR', 'TIMEOUT_LIMIT_EXCEEDED', 'ACCOUNTING_PERIOD_CLOSED'])
            when draw(number, 'luck', 1000) < 40 then pick(number, 'other', ['INVOICE_ALREADY_PAID', 'DISABLED'])
            else 'COMPLETE'
        end as status
    from attempts
)

select
    id_of('run', number) as id,
    case when is_notification then 'Notification' else 'Bill' end as entity_type,
    case
        when is_notification then id_of('notification', ten % notification_count)
        else id_of('bill', ten - ten // 11)
    end as entity_id,
    case when is_retry then id_of('run', number - 1) end as parent_integration_run_id,
    destination,
    id_of('destination', destination || draw(ten, 'account', 2)) as destination_id,
    status,
    case
        when status in ('COMPLETE', 'WAITING', 'STARTED', 'INVOICE_ALREADY_PAID', 'DISABLED') then null
        else pick(number, 'error', [
            'No external mapping found for Account ' || id_of('account', number) || ' (acme-' || ten || '). Create one and run the integration again.',
            'Read timed out after 120000 ms: https://4820117.suitetalk.api.netsuite.com/services/rest/record/v1/invoice/' || number,
            'INVALID_KEY_OR_REF: Invalid item reference key ' || number || ' for subsidiary 4.',
            'No such customer: ''cus_' || id_of('customer', ten) || '''.',
            'Accounting period is closed: a transaction dated ' || cast(cast(dt_created as date) as varchar) || ' cannot be posted.'
        ])
    end as error,
    case when status = 'COMPLETE' then 'https://example.com/invoice/' || number end as url,
    case when status = 'COMPLETE' then cast(number as varchar) end as external_id,
    case when status in ('WAITING') then null else dt_created + to_seconds(draw(number, 'queue', 90)) end as dt_started,
    case
        when status in ('WAITING', 'STARTED', 'AWAITING_RETRY', 'RATE_LIMIT_RETRY') then null
        else dt_created + to_seconds(90 + draw(number, 'time', 60))
    end as dt_completed,
    cast(3 as bigint) as version,
    dt_created,
    dt_created + to_seconds(150) as dt_last_modified,
    'user' as created_by,
    'user' as last_modified_by,
    load_id() as _dlt_load_id
from outcomes
cross join given;

create table m3ter_raw.bills as
select
    id_of('bill', number) as id,
    id_of('account', number % 5000) as account_id,
    'acme-' || number % 5000 as account_code,
    pick(number, 'status', ['PENDING', 'APPROVED', 'APPROVED']) as status,
    pick(number, 'currency', ['USD', 'USD', 'EUR', 'GBP']) as currency,
    cast(draw(number, 'total', 10000000) / 100 as decimal(38, 9)) as bill_total,
    false as locked,
    cast(made as date) as bill_date,
    cast(made - to_days(30) as date) as start_date,
    cast(made as date) as end_date,
    cast(made + to_days(30) as date) as due_date,
    'INV-' || number as sequential_invoice_number,
    cast(2 as bigint) as version,
    made as dt_created,
    made + to_hours(draw(number, 'changed', 48)) as dt_last_modified,
    load_id() as _dlt_load_id
from (
    select
        bill.number,
        as_of() - to_days(730) + to_seconds(cast(63072000 * (bill.number / bill_count) as bigint)) as made
    from given, range((select bill_count from given)) as bill (number)
);

create table m3ter_raw.event_types as
select 'billing.event' || number || '.created' as name, as_of() - to_days(400) as _dlt_valid_from,
    cast(null as timestamptz) as _dlt_valid_to, load_id() as _dlt_load_id
from range(100) as type (number)
union all
select unnest(['integration.validation.error', 'integration.auth.error', 'ingest.validation.failure', 'dataexport.job.failure']),
    as_of() - to_days(400), null, load_id();

-- Three versions of each notification, and a link of each to a destination.
create table m3ter_raw.notification_configurations as
select
    id_of('notification', number) as id, 'Notification ' || number as name, 'n' || number as code,
    'billing.event' || draw(number, 'type', 110) || '.created' as event_name,
    draw(number, 'active', 10) > 0 as active, draw(number, 'always', 3) = 0 as always_fire_event,
    'new.total > 100' as calculation, version,
    as_of() - to_days(400) as dt_created, as_of() - to_days(400 - 100 * version) as dt_last_modified,
    as_of() - to_days(400 - 100 * version) as _dlt_valid_from,
    case when version < 3 then as_of() - to_days(300 - 100 * version) end as _dlt_valid_to, load_id() as _dlt_load_id
from range((select notification_count from given)) as notification (number)
cross join range(1, 4) as versions (version);

create table m3ter_raw.integration_configurations as
select
    id_of('link', number) as id, 'Link ' || number as name, 'Notification' as entity_type,
    id_of('notification', number) as entity_id, 'WEBHOOK' as destination,
    id_of('destination', 'WEBHOOK0') as destination_id,
    draw(number, 'enabled', 20) > 0 as enabled, draw(number, 'authorized', 20) > 0 as authorized,
    as_of() - to_days(400) as _dlt_valid_from, cast(null as timestamptz) as _dlt_valid_to, load_id() as _dlt_load_id
from range((select notification_count from given)) as link (number)
where draw(number, 'linked', 5) > 0;

create table m3ter_raw.entities as
select 'Bill' as entity_type, id as entity_id, as_of() as listed_at, false as is_gone, load_id() as _dlt_load_id
from m3ter_raw.bills;

-- A sync every hour for three months.
create table m3ter_raw.syncs as
select
    'sync ' || number as sync_id, as_of() - to_hours(number) as started_at,
    as_of() - to_hours(number) + to_minutes(5) as finished_at, 'succeeded' as outcome, 300.0 as seconds
from range(2160) as sync (number);
