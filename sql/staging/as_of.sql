-- Grain: one row.
-- For: every mart with a window: windows roll back from here, not from the clock.
-- The last sync is the one with the highest number: the clock may have been put back since the latest start.
select max_by(syncs.started_at, syncs.sync_number) as as_of -- Start of the last sync that succeeded; NULL before the first.
from m3ter_staging.syncs as syncs
where syncs.outcome = 'succeeded'
