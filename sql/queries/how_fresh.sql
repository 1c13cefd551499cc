-- How fresh are these numbers?
select
    status.table_name,
    status.row_count,
    status.rejected_row_count,
    status.as_of,
    status.newest_record_at
from m3ter.sync_status as status
order by status.table_name
