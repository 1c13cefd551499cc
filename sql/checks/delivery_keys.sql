-- No delivery is counted twice: its key is unique, and has what it needs.
select
    deliveries.delivery_id,
    deliveries.entity_type,
    deliveries.entity_id,
    deliveries.destination,
    deliveries.destination_id,
    count(*) as row_count
from m3ter.integration_deliveries as deliveries
group by
    deliveries.delivery_id,
    deliveries.entity_type,
    deliveries.entity_id,
    deliveries.destination,
    deliveries.destination_id
having
    count(*) > 1
    or deliveries.delivery_id is null
    or deliveries.entity_type is null
    or deliveries.entity_id is null
    or deliveries.destination is null
