"""The dlt resources: what each table is loaded from, and how it is written.

A resource only turns what was fetched into rows; the fetching is `Inventory`'s and `FanOut`'s.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import dlt
import pendulum
import pyarrow as pa
from dlt.extract import DltResource

from m3ter_sync.api import Clock
from m3ter_sync.source.changes import Changes, KnownRows, Tally
from m3ter_sync.source.fan_out import Entity, FanOut, Listed, Page
from m3ter_sync.source.inventory import Inventory
from m3ter_sync.source.parsing import parse_rows
from m3ter_sync.source.rejected import Rejection, build_rejected_rows
from m3ter_sync.source.tables import (
    BILLS,
    ENTITIES,
    INTEGRATION_RUNS,
    NOTIFICATION_CONFIGURATIONS,
    REJECTED_ROWS,
    SNAPSHOTS,
    Table,
)
from m3ter_sync.source.versions import as_changes, build_change_rows

# dlt and DuckDB load Arrow tables of this size best (docs/decisions/0002-arrow-batches.md).
ROWS_PER_BATCH = 20_000
# However many runs an entity has: a load takes memory by its rows (docs/decisions/0007).
RUNS_PER_LOAD = 500_000

# Delete and insert keeps one row a key even where a load holds two; upsert would keep both.
_MERGE: Any = {"disposition": "merge", "strategy": "delete-insert"}
# A listing is a complete snapshot, so what it lacks is deleted: history is worth keeping.
_HISTORY: Any = {"disposition": "merge", "strategy": "scd2"}
# Where all that was written stays, the newest version counts, and is picked by whoever reads.
_APPEND: Any = "append"


class ListedEntity(NamedTuple):
    """A row of `entities`."""

    entity: Entity
    listed_at: datetime
    swept_at: datetime | None
    is_gone: bool = False


def build_snapshots(inventory: Inventory, known: KnownRows) -> list[DltResource]:
    """The tables that keep their history: each listing is compared as a whole.

    A table is left out when the destination holds just what was listed.
    """
    return [_snapshot(table, inventory, known) for table in SNAPSHOTS]


def _snapshot(table: Table, inventory: Inventory, known: KnownRows) -> DltResource:
    tally = inventory.tally

    def rows() -> Iterator[Any]:
        # What dlt takes for the instant at which versions begin and end. As the hint that dlt has
        # for it (boundary_timestamp), it would make every load a new version of the schema.
        began_at = pendulum.instance(inventory.snapshots_listed_at)
        dlt.current.load_package_state()["state"]["created_at"] = began_at
        listed: pa.Table = getattr(inventory, table.name)
        # A listing that was filtered, or of which a row could not be read, is no complete
        # snapshot: with a merge key dlt retires older versions of the rows that it holds,
        # and never the rows that it lacks.
        is_filtered = inventory.is_filtered and table is NOTIFICATION_CONFIGURATIONS
        is_partial = is_filtered or bool(tally.rejected[table.name])
        missing = [] if is_partial else known.find_missing(table, listed)
        changes = known.drop_unchanged(table, listed)
        _count(tally, table, changes)
        tally.deleted[table.name] += len(missing)
        yield from _rejected(inventory.rejections_of(table), known, inventory.clock)
        if not (changes.rows.num_rows or missing or known.lacks(table)):
            return
        if known.is_append_only:
            changed = build_change_rows(table, changes.rows, missing, inventory.snapshots_listed_at)
            yield from _for_table(as_changes(table), changed, known)
            return
        columns = table.hints()
        columns[table.primary_key[0]]["merge_key"] = is_partial
        for name in listed.column_names:
            # Without a type of its own dlt would take a text that looks like a date for one.
            columns.setdefault(name, {"name": name, "data_type": "text", "nullable": True})
        hints = dlt.mark.make_hints(
            write_disposition=_HISTORY,
            columns=columns,
            additional_table_hints={"description": table.description},
        )
        yield dlt.mark.with_hints(dlt.mark.materialize_table_schema(), hints)
        # Without nulls: dlt tells versions apart by a digest of the row, which a column
        # that appears empty must not change.
        for row in listed.to_pylist():
            yield {name: value for name, value in row.items() if value is not None}

    return dlt.resource(rows, name=table.name)


def build_bills(inventory: Inventory, known: KnownRows) -> DltResource:
    """Bills change, and only the newest may be listed: merge on `id`."""

    def rows() -> Iterator[Any]:
        changes = known.drop_unchanged(BILLS, inventory.bills)
        yield from _for_table(BILLS, _count(inventory.tally, BILLS, changes), known)
        rejections = inventory.rejections_of(BILLS)
        yield from _rejected(rejections, known, inventory.clock)
        if inventory.bills_are_complete or rejections:
            organization = Entity("Organization", inventory.organization_id)
            listed_at = inventory.bills_listed_at
            # All are listed again until each can be read.
            swept_at = None if rejections else listed_at
            row = ListedEntity(organization, listed_at, swept_at)
            yield from _for_table(ENTITIES, _entity_rows([row]), known)

    return dlt.resource(rows, name=BILLS.name)


def build_integration_runs(
    fan_out: Callable[[], FanOut],
    *,
    tally: Tally,
    known: KnownRows,
    entities_per_load: int | None = None,
    also_listed: Iterable[ListedEntity] = (),
) -> DltResource:
    """Runs change after they start: merge on `id`. Brings `entities` and `rejected_rows` too.

    Args:
        fan_out: Called when extraction begins; its events become rows.
        tally: Counts what is fetched.
        known: Tells which rows need no loading.
        entities_per_load: After how many entities to end, leaving the rest for the next load; then
            it ends after `RUNS_PER_LOAD` runs too.
        also_listed: More rows of `entities`.
    """

    def rows() -> Iterator[Any]:
        batch = _RunBatch(tally, known)
        events: list[Listed] = []
        finished_count = run_count = 0
        stream = fan_out()
        try:
            for event in stream.events():
                if isinstance(event, Page):
                    run_count += len(event.rows)
                    batch.add(event.request.entity, event.rows)
                    if batch.is_full:
                        yield from _for_table(INTEGRATION_RUNS, batch.take(), known)
                    if entities_per_load and run_count >= RUNS_PER_LOAD:
                        break
                    continue
                _count_entity(tally, event)
                finished_count += 1
                if event.request.is_open_ended:
                    events.append(event)
                if finished_count == entities_per_load:
                    break
        except BaseException:
            stream.close()
            raise
        yield from _for_table(INTEGRATION_RUNS, batch.take(), known)
        listed = [_listed_entity(event, tally) for event in events]
        yield from _for_table(ENTITIES, _entity_rows([*also_listed, *listed]), known)
        yield from _rejected(batch.rejections, known, stream.clock)

    return dlt.resource(rows, name=INTEGRATION_RUNS.name)


class _RunBatch:
    """Collects runs of many entities until there are enough for one Arrow table."""

    def __init__(self, tally: Tally, known: KnownRows) -> None:
        self.rejections: list[Rejection] = []
        self._tally = tally
        self._known = known
        self._rows: list[Any] = []
        self._owners: list[Entity] = []

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= ROWS_PER_BATCH

    def add(self, entity: Entity, rows: list[Any]) -> None:
        self._rows += rows
        self._owners += [entity] * len(rows)
        self._tally.fetched[INTEGRATION_RUNS.name] += len(rows)

    def take(self) -> pa.Table:
        """The rows worth loading of those collected so far."""
        parsed = parse_rows(INTEGRATION_RUNS, self._rows)
        for row in parsed.rejected:
            rejection = Rejection(INTEGRATION_RUNS.name, row, self._owners[row.index])
            self.rejections.append(rejection)
            self._tally.unread.add(self._owners[row.index])
        self._tally.rejected[INTEGRATION_RUNS.name] += len(parsed.rejected)
        self._rows, self._owners = [], []
        changes = self._known.drop_unchanged(INTEGRATION_RUNS, parsed.table)
        return _count(self._tally, INTEGRATION_RUNS, changes)


def _rejected(rejections: Iterable[Rejection], known: KnownRows, clock: Clock) -> Iterator[Any]:
    rows = build_rejected_rows(rejections, rejected_at=clock.utc())
    rows = known.drop_unchanged(REJECTED_ROWS, rows).rows
    return _for_table(REJECTED_ROWS, rows, known)


def _for_table(table: Table, rows: pa.Table, known: KnownRows) -> Iterator[Any]:
    """Rows to merge into a table or to add to it, with all that dlt must know of it.

    The hints go with the rows, not with the resource: what a resource brings for a second
    table would inherit the columns of its first.
    """
    if known.is_append_only and not (rows.num_rows or known.lacks(table)):
        return  # it would be a file without a row
    columns = table.hints()
    if "version" in columns and not known.is_append_only:
        # Of two versions of a row in one load the newer one stays.
        columns["version"]["dedup_sort"] = "desc"
    hints = dlt.mark.make_hints(
        table_name=table.name,
        write_disposition=_APPEND if known.is_append_only else _MERGE,
        primary_key=table.primary_key,
        columns=columns,
        additional_table_hints={"description": table.description},
    )
    yield dlt.mark.with_hints(rows, hints, create_table_variant=True)


def _listed_entity(event: Listed, tally: Tally) -> ListedEntity:
    request = event.request
    swept_at = event.began_at if request.is_whole else request.swept_at
    if request.entity in tally.unread or (event.is_gone and request.is_listed):
        # It is listed in full until all of its runs can be read; one that m3ter lists and
        # answers with 404, once it answers.
        swept_at = None
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
