"""One sync: from what the warehouse holds, through what m3ter has, to what the marts say.

    read_state ─► Inventory ─► plan ─► probe ─► FanOut ─► dlt loads ─► models ─► checks ─► publish

Each load is complete in itself, so a sync that ends early, however it ends, leaves a warehouse
from which the next one goes on.
"""

import gc
import logging
import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from m3ter_sync.api import Clock, Stopped
from m3ter_sync.redaction import redact
from m3ter_sync.settings import Settings
from m3ter_sync.source import (
    Entity,
    FanOut,
    Inventory,
    KnownRows,
    ListedEntity,
    ListingRequest,
    NothingKnown,
    build_bills,
    build_integration_runs,
    build_snapshots,
    connect,
    list_entities,
)
from m3ter_sync.source.probe import probe_latest_runs
from m3ter_sync.source.tables import BILLS, SNAPSHOTS, TABLES
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline, finish_pending, run_pipeline
from m3ter_sync.warehouse.known_rows import WarehouseRows
from m3ter_sync.warehouse.lake import Lake
from m3ter_sync.warehouse.location import Location, WarehouseError
from m3ter_sync.warehouse.options import Monitor, SyncOptions
from m3ter_sync.warehouse.plan import Rules, build_request, is_recent, is_swept, refine_requests
from m3ter_sync.warehouse.refresh import refresh
from m3ter_sync.warehouse.sql_files import read_models
from m3ter_sync.warehouse.state import (
    Source,
    WarehouseState,
    check_whole,
    read_newest_load_id,
    read_state,
)
from m3ter_sync.warehouse.summary import EndpointSummary, Outcome, SyncSummary, TableSummary
from m3ter_sync.warehouse.syncs import record_sync

if TYPE_CHECKING:
    from dlt import Pipeline
    from dlt.extract import DltResource

__all__ = ["ListingShrank", "Monitor", "Sync", "SyncOptions"]

_LOG = logging.getLogger(__name__)
# A listing that lost this few rows is believed, however large their share.
_SHRINK_BY_AT_MOST = 10


class ListingShrank(WarehouseError):
    """A complete listing lost so many rows that it is rather wrong than right."""


class Sync:
    """One sync of one warehouse."""

    def __init__(
        self,
        settings: Settings,
        location: Location,
        options: SyncOptions | None = None,
        *,
        monitor: Monitor | None = None,
        sync_id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Remembers what to do; a test passes the clock that all of it goes by."""
        self._settings = settings
        self._location = location
        self._options = options or SyncOptions()
        self._monitor = monitor or Monitor()
        self._known: KnownRows = NothingKnown()
        self._lake: Lake | None = None
        self._clock = clock or Clock()
        self._client = connect(settings, self._clock)
        self._monitor.client = self._client
        self._check_lock: Callable[[], None] = lambda: None
        self._is_open = False
        self.summary = SyncSummary(
            sync_id=sync_id or str(uuid.uuid4()), started_at=self._clock.utc()
        )

    def run(self, *, with_models: bool = True) -> SyncSummary:
        """Syncs, and returns what was done.

        Args:
            with_models: Whether the models are built, checked and published too.

        Raises:
            M3terError: m3ter refused or could not be reached; what was complete is loaded.
            WarehouseError: the warehouse cannot be used.
        """
        began = self._clock.now()
        with ExitStack() as stack:
            stack.callback(self._client.close)
            _LOG.info("Syncing into %s", self._location.name)
            # Told at once, however long m3ter takes to answer.
            self._location.check_free()
            try:
                if self._location.destination or not self._location.database.exists():
                    # A wrong secret is told before anything is written. Where there is a log of
                    # syncs, it is written down there.
                    self._client.authenticate()
                lock = self._location.acquire("sync", self.summary.sync_id)
                stack.enter_context(lock)
                self._check_lock = lock.check
                if with_models:
                    # Half a second of parsing, done while the API is waited for.
                    threading.Thread(target=read_models, daemon=True).start()
                self._load(stack)
                self.summary.outcome = self._outcome()
            except Stopped:
                self.summary.outcome = "stopped"
                raise
            except BaseException as error:
                self.summary.error = redact(str(error)) or type(error).__name__
                raise
            finally:
                self._close_books(began)
            is_built = with_models and self._is_open and self._location.is_readable
            if is_built and self.summary.outcome != "stopped":
                self._enter("building the models")
                # What was loaded hangs together in circles, and would stay beside the models.
                gc.collect()
                self._check_lock()
                with self._location.connect() as connection:
                    failed = refresh(connection, self._location, now=self._clock.utc())
                self.summary.failed_checks = [check.name for check in failed]
        _LOG.info("The sync %s after %.1f s.", self.summary.outcome, self._clock.now() - began)
        return self.summary

    def _load(self, stack: ExitStack) -> None:
        self._enter("reading the warehouse")
        location = self._location
        pipeline = build_pipeline(location)
        source: Source | None = None
        if location.is_lake:
            self._lake = Lake.open(location)
            connection = stack.enter_context(self._lake.connection)
            self._lake.files.begin(pipeline)
            self._known, source = WarehouseRows(connection, is_append_only=True), connection
        elif location.destination or location.database.exists():
            source = pipeline
            if location.is_readable:
                self._known = WarehouseRows(stack.enter_context(location.connect()))
        state = WarehouseState()
        if source:
            if location.has_database:
                location.remove_spilled()
            check_whole(source, location)
            finish_pending(pipeline, read_newest_load_id(source), self._lake)
            state = read_state(source)
        state.check(self._settings.org_id, location)
        self._is_open = True
        self._client.authenticate()

        options = self._options
        rules = Rules(
            now=self.summary.started_at,
            overlap=timedelta(hours=self._settings.overlap_hours),
            sweep_after=timedelta(days=self._settings.full_sweep_days),
            page_size=self._settings.page_size,
            since=options.since,
            until=options.until,
            is_full=options.is_full,
        )
        bills_are_due = options.is_full or not is_recent(state.bills_listed_at, rules)
        inventory = Inventory(
            self._client,
            self._settings.org_id,
            known_bills=None if bills_are_due else self._known,
            tally=self._monitor.tally,
        )
        self._enter("listing bills and notifications")
        if not options.entity_ids:
            inventory.fetch_snapshots()
        entities = self._list_entities(inventory, state)
        self._check_shrink(inventory, state)
        self._enter("looking for changes")
        requests = self._plan(entities, inventory, state, rules)
        if options.lists_bills:
            changed = [request.entity for request in requests]
            inventory.refresh_bills([each.entity_id for each in changed if each.is_bill])
        if not options.entity_ids:
            listed = set(list_entities(inventory, options.entity_types))
            requests = [replace(each, is_listed=each.entity in listed) for each in requests]

        self._enter("listing integration runs")
        self._monitor.entity_count = len(requests)
        fan_out = FanOut(
            self._client,
            requests,
            threads=self._settings.threads,
            page_size=self._settings.page_size,
            stop=self._monitor.stop,
            defers_errors=True,
            gone_limit=1.0 if options.accepts_shrink else self._settings.shrink_limit,
        )
        stack.enter_context(fan_out)
        if requests or not self._holds_all(inventory):
            self._load_chunks(pipeline, inventory, fan_out, state)
        if fan_out.error:
            raise fan_out.error

    def _load_chunks(
        self, pipeline: "Pipeline", inventory: Inventory, fan_out: FanOut, state: WarehouseState
    ) -> None:
        """Loads what the fan-out brings, so many entities at a time; the first brings the rest."""
        others: list[DltResource] = []
        organization: list[ListedEntity] = []
        if not self._options.entity_ids:
            others = build_snapshots(inventory, self._known)
        if self._options.lists_bills:
            others.append(build_bills(inventory, self._known))
        elif state.organization_id is None:
            # Whose warehouse this is; the first listing of the bills says so by itself.
            entity = Entity("Organization", self._settings.org_id)
            organization = [ListedEntity(entity, self.summary.started_at, None)]
        location = self._location if self._location.is_readable else None
        while True:
            runs = build_integration_runs(
                lambda: fan_out,
                tally=self._monitor.tally,
                known=self._known,
                entities_per_load=self._settings.entities_per_load,
                also_listed=organization,
            )
            self.summary.loads += run_pipeline(
                pipeline, [*others, runs], location, self._lake, check_lock=self._check_lock
            )
            others, organization = [], []
            if fan_out.is_exhausted:
                return

    def _holds_all(self, inventory: Inventory) -> bool:
        """Whether the warehouse has all that was listed just as it is: then dlt need not run."""
        if self._options.entity_ids:
            return True
        tables = list(SNAPSHOTS)
        if self._options.lists_bills:
            if inventory.bills_are_complete:
                return False
            tables.append(BILLS)
        return not inventory.rejected and not any(
            self._known.lacks(table)
            or (table in SNAPSHOTS and self._known.find_missing(table, listed))
            or self._known.drop_unchanged(table, listed).rows.num_rows
            for table in tables
            for listed in [getattr(inventory, table.name)]
        )

    def _list_entities(self, inventory: Inventory, state: WarehouseState) -> list[Entity]:
        """The entities that there are now, and those that the warehouse knows of."""
        options = self._options
        if options.entity_ids:
            (entity_type,) = options.entity_types
            return [Entity(entity_type, entity_id) for entity_id in options.entity_ids]
        entities = [
            *list_entities(inventory, options.entity_types),
            *(Entity("Bill", bill_id) for bill_id in state.bill_ids),
            # What was listed once is one that the API knows, or knew.
            *(entity for entity, held in state.entities.items() if held.listed_at),
        ]
        return [
            entity
            for entity in dict.fromkeys(entities)
            if entity.entity_type in options.entity_types
        ]

    def _plan(
        self, entities: list[Entity], inventory: Inventory, state: WarehouseState, rules: Rules
    ) -> list[ListingRequest]:
        # Of notifications the listing is complete; of bills it may end at what is known.
        expected = {entity for entity in entities if entity.is_bill or self._options.entity_ids}
        if not self._options.entity_ids:
            expected.update(list_entities(inventory, {"Notification"}))
        self.summary.entities_known = len(entities)
        built = [
            build_request(entity, state.entities.get(entity), rules, is_expected=entity in expected)
            for entity in entities
        ]
        requests = [request for request in built if request]
        if not (rules.since or rules.until or rules.is_full):
            # Only an entity that was listed to the end before, and is not due for a sweep, can
            # turn out to be unchanged. One that is no more would be left out of the answer, as
            # if the answer could not be relied on.
            candidates = {
                request.entity: held.newest_runs
                for request in requests
                if (held := state.entities.get(request.entity))
                and is_swept(held, rules)
                and request.entity in expected
                and not held.is_gone
            }
            latest = probe_latest_runs(self._client, candidates, threads=self._settings.threads)
            requests = refine_requests(requests, state.entities, latest, rules)
        self.summary.entities_skipped = len(entities) - len(requests)
        return requests

    def _check_shrink(self, inventory: Inventory, state: WarehouseState) -> None:
        """Refuses a complete listing that lost most of its rows: it would close their history."""
        if self._options.entity_ids or self._options.accepts_shrink:
            return
        for name, held in state.snapshot_counts.items():
            # A listing of which rows were rejected closes the history of none.
            lost = held - getattr(inventory, name).num_rows - inventory.tally.rejected[name]
            if lost > max(_SHRINK_BY_AT_MOST, held * self._settings.shrink_limit):
                raise ListingShrank(
                    f"{name}: m3ter lists {held - lost} where the warehouse has {held}. Nothing "
                    "was loaded. If they were really deleted, sync with --accept-shrink."
                )

    def _enter(self, phase: str) -> None:
        self._monitor.phase = phase
        _LOG.info("%s", phase.capitalize())

    def _outcome(self) -> Outcome:
        if self._monitor.stop.is_set():
            return "stopped"
        return "partial" if self._options.is_limited else "succeeded"

    def _close_books(self, began: float) -> None:
        summary, tally, sent = self.summary, self._monitor.tally, self._client.statistics
        summary.finished_at = self._clock.utc()
        summary.seconds = self._clock.now() - began
        for table in TABLES:
            summary.tables[table.name] = TableSummary(
                fetched=tally.fetched[table.name],
                new=tally.new[table.name],
                changed=tally.changed[table.name],
                deleted=tally.deleted[table.name],
                rejected=tally.rejected[table.name],
            )
        summary.entities_listed = tally.entities_listed
        summary.entities_gone = tally.entities_gone
        summary.requests = sent.requests
        summary.retries = sent.retries
        summary.throttled = sent.throttled
        summary.requests_per_second = sent.requests / summary.seconds if summary.seconds else 0.0
        summary.endpoints = [
            EndpointSummary(
                each.endpoint, each.requests, round(each.mean_ms, 1), round(1000 * each.slowest, 1)
            )
            for each in sent.endpoints()
        ]
        _LOG.info("%s", summary.describe_requests(), extra=summary.request_fields())
        if self._is_open and (self._location.destination or self._location.database.exists()):
            try:
                record_sync(self._location, summary)
            except Exception as error:
                if summary.error is None:
                    raise
                # What it failed of before is what must be told.
                _LOG.warning("The log of syncs cannot be written: %s", error)
