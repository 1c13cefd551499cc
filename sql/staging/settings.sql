-- Grain: one row, with every setting that changes a number.
-- For: whoever reads the numbers and asks what they rest on; the models read it too. Changed in the configuration, not here.
-- Materialized: table
select
    coalesce(cast(given.by_name['stuck_after_hours'] as double), 24) as stuck_after_hours, -- A run in flight for longer than this is stuck.
    coalesce(cast(given.by_name['silent_after_days'] as integer), 28) as silent_after_days, -- A notification without a run in this many days is silent, one with a succeeded run in them is proven (C5).
    coalesce(cast('[' || trim(given.by_name['window_days'], '[ ]') || ']' as integer[]), [1, 7, 28]) as window_days, -- The lengths in days of the windows of integration_failure_rate.
    coalesce(cast(given.by_name['new_error_days'] as integer), 7) as new_error_days, -- An error first seen in the last so many days is new.
    coalesce(cast(given.by_name['stale_after_hours'] as double), 26) as stale_after_hours, -- Without a sync that succeeded for longer than this, the freshness check fails.
    -- Whether sandbox destinations count in what sums over destinations; where destinations stand apart they always show, marked is_sandbox.
    coalesce(cast(given.by_name['counts_sandbox'] as boolean), false) as counts_sandbox
from (select getvariable('m3ter_settings') as by_name) as given
