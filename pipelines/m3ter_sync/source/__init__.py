"""The dlt source: what of m3ter to load, and from where on.

    notifications/configurations ─┐
    integrationconfigs ───────────┼─ Inventory ─┬─ three tables with history
    events/types ─────────────────┤             └─ bills
    bills ────────────────────────┘                  │ ids
    integrationruns/{type}/{id} ──── FanOut ◄────────┘
                                        └─ integration_runs, entities, rejected_rows

It needs no warehouse of ours: `dlt.pipeline(...).run(m3ter_source())` loads any dlt destination.
It then asks for everything; the command `m3ter-sync sync` asks for what may have changed.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import dlt

from m3ter_sync.api import Clock, M3terClient, Order
from m3ter_sync.settings import Settings, load_settings
from m3ter_sync.source.changes import KnownRows, NothingKnown, Tally
from m3ter_sync.source.fan_out import Entity, FanOut, ListingRequest
from m3ter_sync.source.inventory import Inventory
from m3ter_sync.source.resources import (
    ListedEntity,
    build_bills,
    build_integration_runs,
    build_snapshots,
)
from m3ter_sync.source.tables import BILLS, NOTIFICATION_CONFIGURATIONS

__all__ = [
    "ENTITY_TYPES",
    "Entity",
    "FanOut",
    "Inventory",
    "KnownRows",
    "ListedEntity",
    "ListingRequest",
    "NothingKnown",
    "Tally",
    "build_bills",
    "build_integration_runs",
    "build_snapshots",
    "connect",
    "list_entities",
    "m3ter_source",
]

ENTITY_TYPES = ("Bill", "Notification")


def connect(settings: Settings, clock: Clock | None = None) -> M3terClient:
    """A client of the organization that the settings name; tests pass a clock of their own."""
    return M3terClient(
        org_id=settings.org_id,
        access_key_id=settings.access_key_id,
        api_secret=settings.api_secret,
        base_url=settings.base_url,
        requests_per_second=settings.requests_per_second,
        connections=settings.threads,
        timeout=settings.timeout_seconds,
        max_retry_seconds=settings.retry_seconds,
        clock=clock,
    )


def list_entities(inventory: Inventory, entity_types: Iterable[str] = ENTITY_TYPES) -> list[Entity]:
    """The entities that the organization has now: notifications first, they are few."""
    tables = {"Notification": NOTIFICATION_CONFIGURATIONS, "Bill": BILLS}
    return [
        Entity(entity_type, entity_id)
        for entity_type, table in tables.items()
        if entity_type in entity_types
        for entity_id in inventory.entity_ids(table)
    ]


@dlt.source(name="m3ter", section="m3ter", max_table_nesting=0)
def m3ter_source(
    *,
    entity_types: Sequence[str] = ENTITY_TYPES,
    entity_ids: Sequence[str] = (),
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    status: str | None = None,
    order: Order = "ASC",
    active: bool | None = None,
    event_name: str | None = None,
    ids: Sequence[str] = (),
    settings: Settings | None = None,
) -> Any:
    """m3ter's integration runs, notification and integration configurations, bills, event types.

    Args:
        entity_types: Whose runs to load: `Bill`, `Notification`.
        entity_ids: Only these entities (of the one type in `entity_types`).
        start_date: Only runs that started after this instant.
        end_date: Only runs that started before or on this instant.
        status: Only runs of this status.
        order: `ASC` or `DESC`, by start.
        active: Only notification configurations that are (not) active.
        event_name: Only notification configurations on this event type.
        ids: Only these notification configurations.
        settings: By default those of `[sources.m3ter]`.

    Returns:
        A dlt source with five resources. Nothing is asked of m3ter until it is extracted.

    Raises:
        SettingsError: the organization or the credentials are missing.
        ValueError: entity ids of more than one type were asked for.
        M3terError: while extracting, m3ter refused or could not be reached.
    """
    settings = settings or load_settings()
    if entity_ids and len(entity_types) != 1:
        raise ValueError("entity_ids needs one entity type: entity_types=['Bill'], say.")
    client = connect(settings)
    inventory = Inventory(client, settings.org_id, active=active, event_name=event_name, ids=ids)
    known = NothingKnown()

    def fan_out() -> FanOut:
        entities = (
            [Entity(entity_types[0], entity_id) for entity_id in entity_ids]
            if entity_ids
            else list_entities(inventory, entity_types)
        )
        return FanOut(
            client,
            [
                ListingRequest(entity, start_date, end_date, status, is_listed=not entity_ids)
                for entity in entities
            ],
            threads=settings.threads,
            page_size=settings.page_size,
            order=order,
            gone_limit=settings.shrink_limit,
        )

    return [
        *build_snapshots(inventory, known),
        build_bills(inventory, known),
        build_integration_runs(fan_out, tally=inventory.tally, known=known),
    ]
