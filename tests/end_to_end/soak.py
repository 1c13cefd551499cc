"""A life of daily syncs of a world that moves on, under faults; shared by a test and a benchmark.

Time is simulated: each sync gets a clock that stands where the world does. Everything else is
real: HTTP, dlt, DuckDB, models, checks and publishing at every sync, and processes that die.
"""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from tests.conftest import NOW, SimulatedClock, Warehouse, expected_row

from m3ter_sync.api import AccessRefused, UnexpectedAnswer
from m3ter_sync.sandbox import Fault, Faults, Row, Sandbox, World, build_world
from m3ter_sync.warehouse.plan import Rules, is_swept
from m3ter_sync.warehouse.state import EntityState
from m3ter_sync.warehouse.sync import Sync

from . import plain_coverage, plain_failures
from . import test_marts_equal_the_world as marts

FAULTS = {
    Fault.THROTTLED: 0.005,
    Fault.SERVER_ERROR: 0.005,
    Fault.BAD_GATEWAY: 0.003,
    Fault.UNAVAILABLE: 0.003,
    Fault.GATEWAY_TIMEOUT: 0.002,
    Fault.RESET: 0.005,
    Fault.CUT_OFF: 0.003,
    Fault.HTML: 0.003,
    Fault.EMPTY_PAGE: 0.01,
    Fault.REPEATED_TOKEN: 0.01,
    Fault.TOKEN_EXPIRED: 0.003,
}
"""Shares of the answers; a repeated token makes the whole sync fail."""
LONGEST_ABSENCE = 5
OVERLAP, SWEEP_AFTER = timedelta(hours=24), timedelta(days=7)
COMPARED_EVERY = 30
NOTIFICATION_CONFIGURATIONS = "notification_configurations"
# Token, snapshots, bills; each of a few pages.
FIXED_REQUESTS = 30
COUNTED = ("_dlt_version", "_dlt_loads", "_dlt_pipeline_state", "syncs", "entities",
           "integration_runs", "bills", "notification_configurations",
           "integration_configurations", "event_types", "rejected_rows")  # fmt: skip


@dataclass(frozen=True)
class Day:
    """What became of one day, and what the warehouse was like at its end.

    `restless_count` entities had to be asked: something of theirs changed, is young or open;
    `due_count` others were due for a sweep.
    """

    number: int
    outcome: str
    requests: int = 0
    retries: int = 0
    listed_count: int = 0
    restless_count: int = 0
    due_count: int = 0
    entity_count: int = 0
    changed_row_count: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    database_bytes: int = 0
    other_files: int = 0
    other_bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)


class Soak:
    """One warehouse, kept for as many days as it is told."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 11,
        absences: float = 0.05,
        deaths: float = 0.08,
        **world: int,
    ) -> None:
        """Builds the world.

        Args:
            folder: Where the warehouse goes.
            seed: The same one gives the same days.
            absences: Share of the days after which no sync runs for up to five.
            deaths: Share of the syncs that are killed.
            world: As `build_world` has it.
        """
        self._absences, self._deaths = absences, deaths
        self.world: World = build_world(seed, now=NOW, **world)
        self.sandbox = Sandbox(self.world, faults=Faults(FAULTS, seed=seed))
        self.warehouse = Warehouse(self.sandbox, folder)
        self.days: list[Day] = []
        self.coverage: dict[date, list[Row]] = {}
        self._chance = random.Random(seed)
        self._away = 0
        # What was served in any sync: the versions of runs, by their id.
        self._served: dict[str, dict[int, Row]] = {}
        # The listings of the notifications since the last sync that was not killed.
        self._attempts: list[tuple[datetime, dict[str, Row]]] = []
        self._listed: dict[str, Row] = {}
        self._deleted: dict[str, Row] = {}
        self._touched: dict[tuple[str, str], datetime] = {}
        self._last: Any = None

    @property
    def now(self) -> datetime:
        return self.world.now + timedelta(minutes=1)

    def live(self, days: int, *, ends: bool = True) -> None:
        """So many days more; the last one, where it ends, with a sync that succeeds."""
        for left in reversed(range(days)):
            number = len(self.days)
            if number:
                self.world.advance(1)
            self.days.append(self._spend_day(number, must_succeed=ends and not left))
            if self._listed:
                self.coverage[self.now.date()] = self._cover()
            if self.days[-1].outcome == "succeeded" and number % COMPARED_EVERY == 0:
                self.warehouse.assert_equals_the_world()

    def _spend_day(self, number: int, *, must_succeed: bool) -> Day:
        chance = self._chance
        if number and not must_succeed:
            if not self._away and chance.random() < self._absences:
                self._away = chance.randint(1, LONGEST_ABSENCE)
            if self._away:
                self._away -= 1
                return Day(number, "missed")
        self._note_what_is_served()
        if number and not must_succeed and chance.random() < self._deaths:
            at, delay = chance.randint(1, 60), chance.uniform(0, 3)
            options = {"at": self.now, "with_models": True}
            died = self.warehouse.sync_until_killed(at, delay, **options)
            self._adopt(was_killed=True)
            return Day(number, "killed" if died else "not killed in time", **self._measure())
        restless, due = self._count_entities_to_ask()
        while True:
            clock = SimulatedClock(self.now)
            self.sandbox.requests.clear()
            began, cpu = time.monotonic(), self._cpu_seconds()
            sync = Sync(self.warehouse.settings(), self.warehouse.location, clock=clock)
            try:
                sync.run()
                outcome = "succeeded"
            except (UnexpectedAnswer, AccessRefused):
                # A listing that leads back to itself, or two expired tokens in one instant.
                outcome = "failed"
            cpu, seconds = self._cpu_seconds() - cpu, time.monotonic() - began
            self._adopt()
            if outcome == "succeeded" or not must_succeed:
                break
        summary = sync.summary
        assert summary.outcome == outcome
        assert not summary.failed_checks
        assert not summary.rejected_count
        if outcome == "succeeded":
            self._last = summary
        tables = summary.tables.values()
        return Day(
            number,
            outcome,
            requests=summary.requests,
            retries=summary.retries,
            listed_count=summary.entities_listed,
            restless_count=restless,
            due_count=due,
            entity_count=summary.entities_known,
            changed_row_count=sum(table.new + table.changed for table in tables),
            cpu_seconds=round(cpu, 3),
            seconds=round(seconds, 3),
            **self._measure(),
        )

    def _note_what_is_served(self) -> None:
        for run_id, run in self.world.listed_runs().items():
            versions = self._served.setdefault(run_id, {})
            if run["version"] not in versions:
                versions[run["version"]] = dict(run)
                self._touched[run["entityType"], run["entityId"]] = self.now

    def _adopt(self, *, was_killed: bool = False) -> None:
        """Follows which listings of the notifications the warehouse has taken in.

        One that was killed may have been loaded, or left for the next sync to load: as of its
        own day.
        """
        table = NOTIFICATION_CONFIGURATIONS
        listing = {key: dict(row) for key, row in self.world.notification_configurations.items()}
        self._attempts.append((self.now, listing))
        instants = self._instants()
        for at, listed in self._attempts:
            if any(at <= each < at + timedelta(hours=12) for each in instants):
                self._deleted |= self._listed
                self._listed = listed
                for day in self.coverage:
                    if day >= at.date():
                        self.coverage[day] = self._cover()
        if not was_killed:
            self._attempts.clear()
        if self._listed:
            held = self.warehouse.rows(table)
            assert {key: _without_none(row) for key, row in held.items()} == {
                key: expected_row(table, row) for key, row in self._listed.items()
            }

    def _instants(self) -> set[datetime]:
        """When a version of a notification began or ended, by what the warehouse holds."""
        if not self.warehouse.location.database.exists():
            return set()
        sql = "select table_name from duckdb_tables() where schema_name = 'm3ter_raw'"
        if {"table_name": NOTIFICATION_CONFIGURATIONS} not in self.warehouse.query(sql):
            return set()
        rows = self.warehouse.query(
            "select distinct unnest([_dlt_valid_from, _dlt_valid_to]) as instant "
            f"from m3ter_raw.{NOTIFICATION_CONFIGURATIONS}"
        )
        return {row["instant"] for row in rows if row["instant"]}

    def _cover(self) -> list[Row]:
        return plain_coverage.on_the_last_day(self.world.event_types, self._listed)

    def _count_entities_to_ask(self) -> tuple[int, int]:
        """Entities of which something changed, is young or open, and the others due for a sweep."""
        if not self.days:
            return 0, len(self.world.bills) + len(self.world.notification_configurations)
        rules = Rules(now=self.now, overlap=OVERLAP, sweep_after=SWEEP_AFTER)
        # What was being loaded when a sync was killed counts as never listed.
        rows = self.warehouse.query(
            "select e.* from m3ter_raw.entities as e "
            "join m3ter_raw._dlt_loads as l on e._dlt_load_id = l.load_id and l.status = 0 "
            "where e.entity_type != 'Organization'"
        )
        states = {
            (row["entity_type"], row["entity_id"]): EntityState(
                listed_at=row["listed_at"], swept_at=row["swept_at"], is_gone=bool(row["is_gone"])
            )
            for row in rows
        }
        restless: set[tuple[str, str]] = set()
        for run in self.world.listed_runs().values():
            entity = run["entityType"], run["entityId"]
            listed_at = states[entity].listed_at if entity in states else None
            began = plain_failures.began(run)
            is_open = plain_failures.class_of(run) in ("in_flight", "unknown")
            if (
                listed_at is None
                or is_open
                or began >= listed_at - OVERLAP
                or self._touched[entity] > listed_at
            ):
                restless.add(entity)
        entities = {
            *(("Bill", key) for key in self.world.bills),
            *(("Notification", key) for key in self.world.notification_configurations),
        }
        restless |= entities - states.keys()
        # What is listed no more is asked once, and then at its sweeps.
        restless |= {each for each in states.keys() - entities if not states[each].is_gone}
        due = {each for each, state in states.items() if not is_swept(state, rules)}
        return len(restless), len(due - restless)

    def _cpu_seconds(self) -> float:
        """Of this process, without the sandbox's thread."""
        (sandbox,) = (each for each in threading.enumerate() if each.name == "sandbox")
        assert sandbox.ident
        return time.process_time() - time.clock_gettime(time.pthread_getcpuclockid(sandbox.ident))

    def _measure(self) -> dict[str, Any]:
        location = self.warehouse.location
        if not location.database.exists():
            return {}
        others = [
            path
            for path in location.folder.rglob("*")
            if path.is_file() and path.parent != location.published_folder
            and not path.name.startswith(location.database.name)
        ]  # fmt: skip
        with duckdb.connect(location.database, read_only=True) as connection:
            names = {
                name
                for (name,) in connection.execute(
                    "select table_name from duckdb_tables() where schema_name = 'm3ter_raw'"
                ).fetchall()
            }
            rows = {
                name: connection.execute(f"select count(*) from m3ter_raw.{name}").fetchall()[0][0]
                for name in COUNTED
                if name in names
            }
        return {
            "database_bytes": location.database.stat().st_size,
            "other_files": len(others),
            "other_bytes": sum(path.stat().st_size for path in others),
            "rows": rows,
        }

    # What must hold at the end.

    def assert_everything_holds(self) -> None:
        """Rows, marts, history, requests and files are as they should be."""
        self.warehouse.assert_equals_the_world()
        self.assert_marts()
        self.assert_requests()
        self.assert_nothing_is_left_over()

    def _runs(self) -> dict[str, Row]:
        """All runs as the API served them; of deleted notifications, as the warehouse last saw."""
        runs = dict(self.world.listed_runs())
        for run_id, held in self.warehouse.rows("integration_runs").items():
            if run_id not in runs:
                served = self._served[run_id][held["version"]]
                assert _without_none(held) == expected_row("integration_runs", served), run_id
                runs[run_id] = served
        return runs

    def assert_marts(self) -> None:
        """Every mart equals the plain computation, the coverage of every day included."""
        location = self.warehouse.location
        with duckdb.connect(location.database, read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            runs = self._runs()
            seen = marts.Seen(
                connection,
                summaries=[self._last],
                runs=runs,
                bills=dict(self.world.bills),
                listed=self._listed,
                deleted=self._deleted,
                links=dict(self.world.integration_configurations),
                event_types=list(self.world.event_types),
                deliveries=plain_failures.find_deliveries(runs),
            )
            for promise in MARTS:
                promise(seen)
            expected = [
                row | {"covered_on": day} for day, rows in self.coverage.items() for row in rows
            ]
            seen.assert_mart("notification_coverage_daily", expected, "covered_on", "event_type")
            recorded = Counter(
                outcome
                for (outcome,) in connection.execute(
                    "select outcome from m3ter.load_history"
                ).fetchall()
            )
        told = Counter(day.outcome for day in self.days)
        assert recorded["succeeded"] >= told["succeeded"]
        assert recorded["failed"] >= told["failed"]

    def assert_requests(self) -> None:
        """Only what changed, is young or open, or was due for a sweep, was asked."""
        for day in self.days:
            if day.outcome == "succeeded":
                assert day.listed_count <= day.restless_count + day.due_count, day
                asked = day.requests - day.retries
                probes = day.entity_count / 100
                assert asked <= FIXED_REQUESTS + probes + 1.5 * day.listed_count, day

    def assert_nothing_is_left_over(self) -> None:
        """No packages, temporary files or bookkeeping that grow with the number of syncs."""
        location = self.warehouse.location
        assert not list(location.work_folder.glob("pipelines/*/*/*/*"))
        assert not list((location.work_folder / "tmp").glob("*"))
        assert {path.name for path in location.folder.iterdir()} <= {
            location.database.name, f"{location.database.stem}.lock",
            location.work_folder.name, location.published_folder.name,
        }  # fmt: skip
        last = self.days[-1]
        assert last.other_files < 20
        # The script of the report's charts is most of it.
        assert last.other_bytes < 2_000_000
        # `entities` is written by two resources, and the schema names the last that was.
        assert last.rows["_dlt_version"] <= 2
        assert last.rows["_dlt_pipeline_state"] == 1
        assert last.rows["_dlt_loads"] <= len(self.days) + 1
        assert last.rows["syncs"] <= len(self.days) + 5
        entities = len(self.world.bills) + len(self._listed) + len(self._deleted) + 1
        assert last.rows["entities"] <= entities
        assert last.rows["event_types"] == len(self.world.event_types)
        served = sum(len(versions) for versions in self._served.values())
        assert last.rows["integration_runs"] <= served


def _without_none(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}


MARTS = (
    marts.test_every_run_is_there_with_its_class_and_durations,
    marts.test_every_delivery_is_there_once,
    marts.test_the_failure_rates_of_each_day_are_right,
    marts.test_the_failure_rates_of_each_window_are_right,
    marts.test_where_each_bill_stands_is_right,
    marts.test_the_undelivered_amounts_are_right,
    marts.test_the_incidents_are_right,
    marts.test_the_error_groups_are_right,
    marts.test_the_stuck_runs_are_right,
    marts.test_the_durations_are_right,
    marts.test_the_coverage_of_each_notification_is_right,
    marts.test_the_coverage_of_each_event_type_is_right,
    marts.test_the_coverage_ladder_is_right,
    marts.test_the_state_of_each_table_is_right,
)
