-- No event type stands on a step of the ladder without the step beneath: C3 within C2 within C1, C4 and C5 within C3.
select
    events.event_type,
    events.is_configured,
    events.is_active,
    events.is_deliverable,
    events.is_unconditional,
    events.is_proven
from m3ter.event_coverage as events
where
    (events.is_active and not events.is_configured)
    or (events.is_deliverable and not events.is_active)
    or (events.is_unconditional and not events.is_deliverable)
    or (events.is_proven and not events.is_deliverable)
