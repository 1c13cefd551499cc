"""The dlt resources: what each table is loaded from, and how it is written.

A resource only turns what was fetched into rows; the fetching is `Inventory`'s and `FanOut`'s.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from m3ter_sync.source.changes import Changes, KnownRows, NothingKnown, Tally
from m3ter_sync.source.fan_out import Entity, FanOut, Listed, Page
from m3ter_sync.source.inventory import Inventory
from m3ter_sync.source.parsing import parse_rows
from m3ter_sync.source.rejected import Rejection, build_rejected_rows
from m3ter_sync.source.tables import (
    BILLS,
    ENTITIES,
    EVENT_TYPES,
    INTEGRATION_CONFIGURATIONS,
    INTEGRATION_RUNS,
    NOTIFICATION_CONFIGURATIONS,
    REJECTED_ROWS,
    Table,
)

# dlt and DuckDB load Arrow tables of this size best (docs/decisions/0002-arrow-batches.md).
ROWS_PER_BATCH = 20_000

# Delete and insert keeps one row a key even where a load holds two; upsert would keep both.
_MERGE: Any = {"disposition": "merge", "strategy": "delete-insert"}
# A listing is a complete snapshot, so what it lacks is deleted: history is worth keeping.
_HISTORY: Any = {"disposition": "merge", "strategy": "scd2"}


def build_snapshots(inventory: Inventory) -> list[DltResource]:
    """The three tables that keep their history: each listing is compared as a whole.

    A listing of notifications that was filtered is no complete snapshot: with a merge key dlt
    retires only older versions of the rows it holds, never the rows it lacks.
    """

    def build(
        table: Table, read: Callable[[], pa.Table], merge_key: str | None = None
    ) -> DltResource:
        def rows() -> Iterator[Any]:
            yield dlt.mark.materialize_table_schema()
            # Without nulls: dlt tells versions apart by a digest of the row, which a column
            # that appears empty must not change.
            for row in read().to_pylist():
                yield {name: value for name, value in row.items() if value is not None}

        return _resource(table, rows, _HISTORY, merge_key=merge_key)

    return [
        build(
            NOTIFICATION_CONFIGURATIONS,
            lambda: inventory.notification_configurations,
            merge_key="id" if inventory.is_filtered else None,
        ),
        build(INTEGRATION_CONFIGURATIONS, lambda: inventory.integration_configurations),
        build(EVENT_TYPES, lambda: inventory.event_types),
    ]


def build_bills(inventory: Inventory, known: KnownRows) -> DltResource:
    """Bills change, and only the newest may be listed: merge on `id`."""

    def rows() -> Iterator[Any]:
        yield dlt.mark.materialize_table_schema()
        yield _count(inventory.tally, BILLS, known.drop_unchanged(BILLS, inventory.bills))
        if inventory.bills_are_complete:
            organization = Entity("Organization", inventory.client.org_id)
            listed_at = inventory.bills_listed_at
            yield _for_table(ENTITIES, _entity_rows([ListedEntity(organization, listed_at, listed_at)]))

    return _resource(BILLS, rows, _MERGE, primary_key=BILLS.primary_key)


def build_integration_runs(
    fan_out: Callable[[], FanOut],
    *,
    tally: Tally,
    known: KnownRows,
    entities_per_load: int | None = None,
    first_rows: Iterable[Any] = (),
    rejections: Iterable[Rejection] = (),
) -> DltResource:
    """Runs change after they start: merge on `id`. Brings `entities` and `rejected_rows` too.

    Args:
        fan_out: Called when extraction begins; its events become rows.
        tally: Counts what is fetched.
        known: Tells which rows need no loading.
        entities_per_load: After how many entities to end, leaving the rest for the next load.
        first_rows: Runs that were fetched already.
        rejections: Rows that were set aside already.
    """

    def rows() -> Iterator[Any]:
        yield dlt.mark.materialize_table_schema()
        batch = _RunBatch(tally, known)
        batch.add(None, list(first_rows))
        listed: list[ListedEntity] = []
        stream = fan_out()
        try:
            for event in stream.events():
                if isinstance(event, Page):
                    batch.add(event.request.entity, event.rows)
                    if batch.is_full:
                        yield batch.take()
                    continue
                _count_entity(tally, event)
                if event.request.is_open_ended:
                    listed.append(_listed_entity(event))
                if len(listed) == entities_per_load:
                    break
        except BaseException:
            stream.close()
            raise
        yield batch.take()
        yield _for_table(ENTITIES, _entity_rows(listed))
        rejected = build_rejected_rows(
            [*rejections, *batch.rejections], rejected_at=datetime.now(UTC)
        )
        yield _for_table(REJECTED_ROWS, known.drop_unchanged(REJECTED_ROWS, rejected).rows)

    return _resource(INTEGRATION_RUNS, rows, _MERGE, primary_key=INTEGRATION_RUNS.primary_key)


class _RunBatch:
    """Collects runs of many entities until there are enough for one Arrow table."""

    def __init__(self, tally: Tally, known: KnownRows) -> None:
        self.rejections: list[Rejection] = []
        self._tally = tally
        self._known = known
        self._rows: list[Any] = []
        self._owners: list[Entity | None] = []

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= ROWS_PER_BATCH

    def add(self, entity: Entity | None, rows: list[Any]) -> None:
        self._rows += rows
        self._owners += [entity] * len(rows)
        self._tally.fetched[INTEGRATION_RUNS.name] += len(rows)

    def take(self) -> pa.Table:
        """The rows worth loading of those collected so far."""
        parsed = parse_rows(INTEGRATION_RUNS, self._rows)
        for row in parsed.rejected:
            rejection = Rejection(INTEGRATION_RUNS.name, row, self._owners[row.index])
            self.rejections.append(rejection)
        self._tally.rejected[INTEGRATION_RUNS.name] += len(parsed.rejected)
        self._rows, self._owners = [], []
        changes = self._known.drop_unchanged(INTEGRATION_RUNS, parsed.table)
        return _count(self._tally, INTEGRATION_RUNS, changes)


def _resource(
    table: Table, rows: Callable[[], Iterator[Any]], write_disposition: Any, **more: Any
) -> DltResource:
    resource: DltResource = dlt.resource(
        rows,
        name=table.name,
        write_disposition=write_disposition,
        columns=table.hints(),
        table_format=None,
        **more,
    )
    resource.apply_hints(additional_table_hints={"description": table.description})
    return resource


def _for_table(table: Table, rows: pa.Table) -> Any:
    """Rows that a resource yields for another table than its own."""
    hints = dlt.mark.make_hints(
        table_name=table.name,
        write_disposition=_MERGE,
        primary_key=table.primary_key,
        columns=table.hints(),
        additional_table_hints={"description": table.description},
    )
    return dlt.mark.with_hints(rows, hints, create_table_variant=True)


class ListedEntity(NamedTuple):
    """A row of `entities`."""

    entity: Entity
    listed_at: datetime
    swept_at: datetime | None
    is_gone: bool = False


def _listed_entity(event: Listed) -> ListedEntity:
    request = event.request
    swept_at = event.began_at if request.is_whole else request.swept_at
    return ListedEntity(request.entity, event.began_at, swept_at, event.is_gone)


def _entity_rows(listed: Iterable[ListedEntity]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "entity_type": row.entity.entity_type,
                "entity_id": row.entity.entity_id,
                "listed_at": row.listed_at,
                "swept_at": row.swept_at,
                "is_gone": row.is_gone,
            }
            for row in listed
        ],
        schema=ENTITIES.arrow_schema,
    )


def _count_entity(tally: Tally, event: Listed) -> None:
    tally.entities_listed += 1
    if event.is_gone:
        tally.entities_gone.append(str(event.request.entity))


def _count(tally: Tally, table: Table, changes: Changes) -> pa.Table:
    tally.new[table.name] += changes.new_count
    tally.changed[table.name] += changes.changed_count
    return changes.rows
