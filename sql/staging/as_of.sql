-- Grain: one row.
-- For: every mart with a window: windows roll back from here, not from the clock.
-- The last sync is the one with the highest number: the clock may have been put back since the latest start.
select max(syncs.started_at) as as_of -- Start of the last sync that succeeded; NULL before the first.
from m3ter_staging.syncs as syncs
where
    syncs.sync_number = (
        select max(succeeded.sync_number) from m3ter_staging.syncs as succeeded
        where succeeded.outcome = 'succeeded'
    )
