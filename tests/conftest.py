"""A world, a running sandbox, and a warehouse that is synced from it, for whoever asks."""

import itertools
import json
import logging
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from m3ter_sync.api import Clock
from m3ter_sync.sandbox import LoggedRequest, Row, Sandbox, World, build_world
from m3ter_sync.settings import Settings, load_settings
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.summary import SyncSummary
from m3ter_sync.warehouse.sync import Monitor, Sync, SyncOptions

# The same examples every time: what fails here fails everywhere.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")

NOW = datetime(2025, 11, 3, 6, 0, tzinfo=UTC)
LOADED_TABLES = (
    "integration_runs",
    "notification_configurations",
    "integration_configurations",
    "bills",
    "event_types",
)

# A sync in a process of its own, that can be killed.
SYNC = """
import json, sys
from m3ter_sync.api import Clock
from m3ter_sync.settings import load_settings
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.sync import Sync
database, destination, settings, at, with_models = sys.argv[1:]
clock = Clock()
if at:
    clock.wall = lambda: float(at)
location = Location.of(database, destination or None)
sync = Sync(load_settings(**json.loads(settings)), location, clock=clock)
sync.run(with_models=bool(with_models))
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What tests of one module share is made once: they run in one process."""
    for item in items:
        fixtures = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009
        if any(each.scope == "module" for definitions in fixtures for each in definitions):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture
def world() -> World:
    return build_world(now=NOW, bills=60, notifications=40, runs=1200, open_runs=12)


@pytest.fixture
def sandbox(world: World) -> Iterator[Sandbox]:
    with Sandbox(world) as running:
        yield running


@pytest.fixture(autouse=True)
def _logs_end_with_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command takes over the logs of the process that it runs in, and keeps them."""
    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    loggers = [logging.getLogger(name) for name in ("", "m3ter_sync", "dlt")]
    before = [(logger, logger.level, [*logger.handlers]) for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


class SimulatedClock(Clock):
    """Stands at the instant that it is set to; whoever waits moves it on, and need not wait."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self.at = at
        self._waited = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return time.monotonic() + self._waited

    def wall(self) -> float:
        return self.at.timestamp() + self._waited

    def wait(self, seconds: float) -> None:
        super().wait(0)
        with self._lock:
            self._waited += seconds


class Warehouse:
    """One warehouse in a folder of its own, and the sandbox that it is synced from."""

    def __init__(
        self, sandbox: Sandbox, folder: Path, destination: str | None = None, **settings: Any
    ) -> None:
        self.sandbox = sandbox
        self.location = Location.of(folder / "warehouse.duckdb", destination)
        self._settings = settings

    def settings(self, **settings: Any) -> Settings:
        return load_settings(**self._given(settings))

    def _given(self, settings: dict[str, Any]) -> dict[str, Any]:
        account = {
            "org_id": self.sandbox.org_id,
            "access_key_id": self.sandbox.access_key_id,
            "api_secret": self.sandbox.api_secret,
            "base_url": self.sandbox.base_url,
        }
        return account | {"requests_per_second": 100_000, "threads": 8} | self._settings | settings

    def sync(
        self,
        options: SyncOptions | None = None,
        monitor: Monitor | None = None,
        at: datetime | None = None,
        **settings: Any,
    ) -> SyncSummary:
        """One sync, without the models; the sandbox's log holds its requests alone."""
        self.sandbox.requests.clear()
        clock = SimulatedClock(at) if at else None
        sync = Sync(self.settings(**settings), self.location, options, monitor=monitor, clock=clock)
        return sync.run(with_models=False)

    def start(
        self,
        prelude: str = "",
        at: datetime | None = None,
        with_models: bool = False,
        **settings: Any,
    ) -> subprocess.Popen[bytes]:
        """A sync in a process of its own, which runs some other Python first."""
        self.sandbox.requests.clear()
        given = json.dumps(self._given(settings))
        when = str(at.timestamp()) if at else ""
        where = [str(self.location.database), self.location.destination or ""]
        how = [*where, given, when, "yes" if with_models else ""]
        return subprocess.Popen(
            [sys.executable, "-c", prelude + SYNC, *how], stderr=subprocess.DEVNULL
        )

    def sync_until_killed(self, number: int, delay: float, **settings: Any) -> bool:
        """Syncs until so many seconds after its request of that number; whether that came."""
        process: list[subprocess.Popen[bytes]] = []
        seen = itertools.count(1)

        def watch(_: LoggedRequest) -> None:
            if next(seen) == number:
                threading.Timer(delay, process[0].kill).start()

        self.sandbox.behaviour.on_request = watch
        process.append(self.start(**settings))
        code = process[0].wait()
        self.sandbox.behaviour.on_request = None
        return code == -signal.SIGKILL

    def query(self, sql: str) -> list[dict[str, Any]]:
        with self.location.connect(read_only=True) as connection:
            return connection.execute(sql).to_arrow_table().to_pylist()

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        """The current rows of a table by their key, without what dlt adds."""
        key = "name" if table == "event_types" else "id"
        rows = self.query(f"select * from m3ter_raw.{table}")
        held = {
            row[key]: {name: value for name, value in row.items() if not name.startswith("_dlt")}
            for row in rows
            if row.get("_dlt_valid_to") is None
        }
        current = [row[key] for row in rows if row.get("_dlt_valid_to") is None]
        twice = [each for each, count in Counter(current).items() if count > 1]
        assert not twice, f"{table} holds {len(twice)} keys twice: {twice[:5]}"
        return held

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table that a sync loads, which load wrote it included."""
        with self.location.connect(read_only=True) as connection:
            return {
                table: sorted(
                    connection.execute(f"select * from m3ter_raw.{table}").fetchall(), key=repr
                )
                for table in (*LOADED_TABLES, "rejected_rows")
            }

    def assert_holds_no_false_run(self) -> None:
        """Every run that is held is as it was served, now or in an earlier version."""
        served = self.sandbox.world.listed_runs()
        for run_id, row in self.rows("integration_runs").items():
            if row["version"] == served[run_id]["version"]:
                expected = expected_row("integration_runs", served[run_id])
                assert {name: row[name] for name in expected} == expected
            assert row["version"] <= served[run_id]["version"]

    def assert_equals_the_world(self) -> None:
        """Every object that the API serves is held as it is served, column by column.

        The runs of deleted notifications cannot be listed any more: they may only stay.
        """
        world = self.sandbox.world
        served: dict[str, dict[str, Row]] = {
            "integration_runs": world.listed_runs(),
            "notification_configurations": dict(world.notification_configurations),
            # What is near a credential is left where it is.
            "integration_configurations": {
                link_id: {
                    name: value
                    for name, value in link.items()
                    if name not in ("configData", "integrationCredentialsId")
                }
                for link_id, link in world.integration_configurations.items()
            },
            "bills": dict(world.bills),
            "event_types": {name: {"name": name} for name in world.event_types},
        }
        for table, objects in served.items():
            held = self.rows(table)
            if table == "integration_runs":
                ghosts = held.keys() - objects.keys()
                assert not any(
                    world.has_entity(held[run_id]["entity_type"], held[run_id]["entity_id"])
                    for run_id in ghosts
                ), "a run that is no more"
                held = {run_id: row for run_id, row in held.items() if run_id not in ghosts}
            expected = {key: expected_row(table, row) for key, row in objects.items()}
            missing = expected.keys() - held.keys()
            assert not missing, f"{len(missing)} of {table} are missing: {sorted(missing)[:5]}"
            assert not held.keys() - expected.keys(), f"{table} holds what is no more"
            different = {
                key: {
                    name: (row.get(name), expected[key].get(name))
                    for name in row.keys() | expected[key].keys()
                    if row.get(name) != expected[key].get(name)
                }
                for key, row in held.items()
            }
            different = {key: columns for key, columns in different.items() if columns}
            assert not different, f"{table}: {len(different)} differ: {list(different.items())[:3]}"


_DATES = ("bill_date", "start_date", "end_date", "due_date")


def expected_row(table: str, row: Row) -> dict[str, Any]:
    """What the API serves, as the warehouse must show it; written apart from the parser."""
    return {
        name: _expected_value(table, name, value)
        for field, value in row.items()
        if value is not None
        for name in [re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", field).lower()]
    }


def _expected_value(table: str, name: str, value: Any) -> Any:
    if name.startswith("dt_"):
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if table == "bills" and name in _DATES:
        return date.fromisoformat(value)
    return Decimal(str(value)) if name == "bill_total" else value


@pytest.fixture
def open_warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Warehouse]:
    """Makes warehouses in the test's own folder."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    # A sync sets it, to keep its files together.
    monkeypatch.setattr(tempfile, "tempdir", None)

    def open_one(sandbox: Sandbox, name: str = "data", **settings: Any) -> Warehouse:
        return Warehouse(sandbox, tmp_path / name, **settings)

    return open_one


@pytest.fixture
def warehouse(sandbox: Sandbox, open_warehouse: Callable[..., Warehouse]) -> Warehouse:
    return open_warehouse(sandbox)
