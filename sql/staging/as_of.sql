-- Grain: one row.
-- For: every mart with a window: windows roll back from here, not from the clock.
select max(syncs.started_at) as as_of -- Start of the last sync that succeeded; NULL before the first.
from m3ter_staging.syncs as syncs
where syncs.outcome = 'succeeded'
