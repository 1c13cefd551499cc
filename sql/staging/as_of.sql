-- Grain: one row.
-- For: every mart with a window: windows roll back from here, not from the clock.
select max(cast(syncs.started_at as timestamptz)) as as_of -- Start of the last sync that succeeded; NULL before the first.
from m3ter_raw.syncs as syncs
where syncs.outcome = 'succeeded'
