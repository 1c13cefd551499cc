"""Proves the warehouse against the API: lists entities again and compares them run by run."""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pyarrow as pa

from m3ter_sync.settings import Settings
from m3ter_sync.source import (
    Entity,
    FanOut,
    Inventory,
    ListingRequest,
    Tally,
    build_integration_runs,
    connect,
    list_entities,
)
from m3ter_sync.source.fan_out import Page
from m3ter_sync.source.parsing import parse_rows
from m3ter_sync.source.tables import INTEGRATION_RUNS
from m3ter_sync.warehouse.connection import Connection
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline, finish_pending, run_pipeline
from m3ter_sync.warehouse.known_rows import WarehouseRows
from m3ter_sync.warehouse.lake import Lake
from m3ter_sync.warehouse.location import RAW_SCHEMA, Location
from m3ter_sync.warehouse.refresh import refresh
from m3ter_sync.warehouse.state import check_whole, read_newest_load_id, read_state

SAMPLE_SIZE = 200
Kind = Literal["missing", "different", "not served", "unreadable"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One run that the API and the warehouse do not agree on.

    Attributes:
        kind: `missing` from the warehouse, `different` there, `not served` by the API, or served
            in a way that is `unreadable`, so that a sync puts it into `rejected_rows`.
        served: Version, status and modification time as the API has them, if it has the run.
        held: The same as the warehouse has them, if it has the run.
    """

    kind: Kind
    entity_type: str
    entity_id: str
    run_id: str
    served: tuple[Any, ...] | None
    held: tuple[Any, ...] | None


@dataclass(slots=True)
class Verification:
    """What a verification found.

    Attributes:
        entity_count: Entities listed again.
        known_entity_count: Entities there are.
        run_count: Runs that the API served for them.
        rejected_count: Runs served that cannot be read.
        repaired_count: Rows that the repair loaded.
    """

    entity_count: int = 0
    known_entity_count: int = 0
    run_count: int = 0
    rejected_count: int = 0
    repaired_count: int = 0
    gone: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether API and warehouse agree."""
        return not self.differences

    def to_dict(self) -> dict[str, Any]:
        """The findings by name."""
        return {**asdict(self), "is_clean": self.is_clean}


def verify(
    settings: Settings,
    location: Location,
    *,
    is_all: bool = False,
    repairs: bool = False,
    run_id: str | None = None,
) -> Verification:
    """Lists entities again, in full, and compares id, version, status and modification time.

    Args:
        settings: Whose runs, and how fast to ask.
        location: The warehouse.
        is_all: Every entity that m3ter or the warehouse knows, instead of a sample of 200 in
            which those with open runs come first.
        repairs: Load the entities that differ again; what is then left differs still.
        run_id: What the log lines carry, told to those who find the warehouse locked.

    Raises:
        M3terError: m3ter refused or could not be reached, or answers 404 for what is there.
        WarehouseError: the warehouse cannot be used.
    """
    with ExitStack() as stack:
        client = stack.enter_context(connect(settings))
        location.check_exists()
        location.check_free()
        client.authenticate()
        lock = location.acquire("verify", run_id)
        stack.enter_context(lock)
        lake = Lake.open(location) if location.is_lake else None
        opened: Connection = lake.connection if lake else location.connect()
        connection = stack.enter_context(opened)
        pipeline = build_pipeline(location)
        source = lake.connection if lake else pipeline
        check_whole(source, location)
        finish_pending(pipeline, read_newest_load_id(source), lake)
        state = read_state(source)
        state.check(settings.org_id, location)
        known = list(state.entities) + [Entity("Bill", bill_id) for bill_id in state.bill_ids]
        # One of which runs are held must be there, or have been said to be gone by a sync: where
        # most of them answer 404, nothing is verified.
        expected = {
            entity for entity, held in state.entities.items() if held.run_count and not held.is_gone
        }
        if is_all:
            listed = list_entities(Inventory(client, settings.org_id))
            known += listed
            expected.update(listed)
        known = list(dict.fromkeys(known))
        sample = known
        if not is_all:
            chance = random.Random()  # noqa: S311 - picks a sample, guards nothing
            sample = sorted(
                chance.sample(known, len(known)),
                key=lambda entity: not (held := state.entities.get(entity)) or not held.open_count,
            )[:SAMPLE_SIZE]

        def list_again(entities: Sequence[Entity]) -> FanOut:
            requests = [ListingRequest(entity, is_listed=entity in expected) for entity in entities]
            return stack.enter_context(
                FanOut(
                    client,
                    requests,
                    threads=settings.threads,
                    page_size=settings.page_size,
                    gone_limit=settings.shrink_limit,
                )
            )

        found = Verification(known_entity_count=len(known))
        _compare(connection, list_again(sample), found)
        if repairs and found.differences:
            tally = Tally()
            entities = {Entity(each.entity_type, each.entity_id) for each in found.differences}
            runs = build_integration_runs(
                lambda: list_again(sorted(entities, key=str)),
                tally=tally,
                known=WarehouseRows(connection, is_append_only=lake is not None),
            )
            run_pipeline(pipeline, [runs], location, lake, check_lock=lock.check)
            refresh(connection, location)
            found.repaired_count = sum((tally.new + tally.changed).values())
            again = Verification()
            _compare(connection, list_again(sorted(entities, key=str)), again)
            found.differences = again.differences
    return found


def _compare(connection: Connection, fan_out: FanOut, found: Verification) -> None:
    """Lists to the end, then compares all at once: fewer joins, and no half-listed entity."""
    served: list[pa.Table] = []
    unread: list[tuple[str | None, Entity]] = []
    listed: list[tuple[str, str]] = []
    for event in fan_out.events():
        if isinstance(event, Page):
            parsed = parse_rows(INTEGRATION_RUNS, event.rows)
            found.rejected_count += len(parsed.rejected)
            unread += [(row.id, event.request.entity) for row in parsed.rejected]
            found.run_count += len(event.rows)
            served.append(parsed.table.select(_COMPARED))
        else:
            found.entity_count += 1
            entity = event.request.entity
            if event.is_gone:
                found.gone.append(str(entity))
            else:
                listed.append((entity.entity_type, entity.entity_id))
    schema = INTEGRATION_RUNS.arrow_schema
    empty = schema.empty_table().select(_COMPARED)
    connection.register("served_runs", pa.concat_tables([empty, *served]))
    connection.register(
        "listed_entities",
        pa.table(
            {
                "entity_type": pa.array([one for one, _ in listed], pa.string()),
                "entity_id": pa.array([one for _, one in listed], pa.string()),
            }
        ),
    )
    rows = connection.execute(_DIFFERENCES).fetchall()
    unread_ids = {run_id for run_id, _ in unread}
    found.differences = [
        Difference(
            kind,
            entity_type,
            entity_id,
            run_id,
            served=None if kind == "not served" else tuple(versions[:3]),
            held=None if kind == "missing" else tuple(versions[3:]),
        )
        for kind, entity_type, entity_id, run_id, *versions in rows
        if run_id not in unread_ids
    ]
    found.differences += [
        Difference("unreadable", entity.entity_type, entity.entity_id, run_id or "", None, None)
        for run_id, entity in unread
    ]


_COMPARED = ["id", "entity_type", "entity_id", "version", "status", "dt_last_modified"]
_DIFFERENCES = f"""
with served as (
    -- A run may be served twice, when it changes while its pages are read.
    select * from served_runs
    qualify row_number() over (partition by id order by version desc nulls last) = 1
),
held as (
    select runs.*
    from {RAW_SCHEMA}.integration_runs as runs
    where runs.id in (select id from served)
        or (runs.entity_type, runs.entity_id) in (
            select entity_type, entity_id from listed_entities
        )
)
select
    case
        when held.id is null then 'missing' when served.id is null then 'not served'
        else 'different'
    end as kind,
    coalesce(served.entity_type, held.entity_type) as entity_type,
    coalesce(served.entity_id, held.entity_id) as entity_id,
    coalesce(served.id, held.id) as run_id,
    served.version, served.status, served.dt_last_modified,
    held.version, held.status, held.dt_last_modified
from served
full join held on served.id = held.id
where served.id is null or held.id is null
    or served.version is distinct from held.version
    or served.status is distinct from held.status
    or served.dt_last_modified is distinct from held.dt_last_modified
order by entity_type, entity_id, run_id
"""  # noqa: S608 - our own schema's name
