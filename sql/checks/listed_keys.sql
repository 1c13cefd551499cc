-- Every bill, configuration and event type has an id, and none stands there twice as it is now.
with
listed as (
    select
        'bills' as table_name,
        bills.bill_id as listed_id
    from m3ter_staging.bills as bills
    union all
    select
        'notification_configurations' as table_name,
        versions.notification_id as listed_id
    from m3ter_staging.notification_configurations as versions
    where versions.is_current
    union all
    select
        'integration_configurations' as table_name,
        versions.integration_configuration_id as listed_id
    from m3ter_staging.integration_configurations as versions
    where versions.is_current
    union all
    select
        'event_types' as table_name,
        versions.event_type as listed_id
    from m3ter_staging.event_types as versions
    where versions.is_current
)

select
    listed.table_name,
    listed.listed_id,
    count(*) as row_count
from listed
group by listed.table_name, listed.listed_id
having count(*) > 1 or listed.listed_id is null
