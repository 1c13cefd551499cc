"""A DuckDB warehouse is moved to PostgreSQL, and m3ter is asked for nothing again."""

import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import duckdb
import pytest
from click.testing import Result
from tests.conftest import Warehouse

from m3ter_sync.sandbox import Sandbox
from m3ter_sync.warehouse import copy_to_postgres as copying
from m3ter_sync.warehouse.copy import copy_warehouse
from m3ter_sync.warehouse.location import Location, WarehouseMisplaced
from m3ter_sync.warehouse.sync import Sync

Run = Callable[..., Result]


@pytest.fixture
def source(sandbox: Sandbox, open_warehouse: Callable[..., Warehouse], url: str) -> Warehouse:
    """A warehouse with a history, in DuckDB."""
    warehouse = open_warehouse(sandbox)
    warehouse.sync()
    sandbox.world.advance(days=2)
    Sync(warehouse.settings(), warehouse.location).run()
    return warehouse


@pytest.fixture
def target(source: Warehouse, open_warehouse: Callable[..., Warehouse]) -> Warehouse:
    moved = open_warehouse(source.sandbox, destination="postgres")
    assert moved.location.database == source.location.database
    return moved


def _write(row: tuple[Any, ...]) -> str:
    """Engines add up in another order: what they say of a quantile differs in its last digits."""
    return repr([f"{value:.12g}" if isinstance(value, float) else value for value in row])


def read_marts(location: Location) -> dict[str, list[Any]]:
    with duckdb.connect(location.published_database, read_only=True) as connection:
        names = connection.execute("select table_name from duckdb_tables()").fetchall()
        return {
            name: sorted(map(_write, connection.execute(f"from {name}").fetchall()))
            for (name,) in names
        }


KILLED_EXTRACTED = """
import os, signal
from dlt.pipeline.pipeline import Pipeline
Pipeline.normalize = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_every_mart_says_there_what_it_said_here(source: Warehouse, target: Warehouse) -> None:
    done = copy_warehouse(source.location, target.location)
    assert not done.failed_checks
    assert not done.kept_count
    here, there = read_marts(source.location), read_marts(target.location)
    assert here.keys() == there.keys()
    assert len(here["integration_runs"]) == done.rows["integration_runs"] > 0
    for name in here:
        assert here[name] == there[name], name


def test_the_next_sync_goes_on_from_there(source: Warehouse, target: Warehouse) -> None:
    copy_warehouse(source.location, target.location)
    unchanged = target.sync()
    assert unchanged.loads == []
    assert unchanged.requests == source.sync().requests
    source.sandbox.world.advance(days=2)
    moved = target.sync()
    assert moved.requests == source.sync().requests
    target.assert_equals_the_world()


def test_a_copy_that_was_cut_short_goes_on_where_it_was(
    source: Warehouse, target: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ROWS_PER_BATCH", 100)
    # What a sync left behind that was killed before the copy was begun.
    assert target.start(KILLED_EXTRACTED).wait() == -signal.SIGKILL
    insert = copying._Target.insert
    calls = 0

    def insert_some(place: Any, table: str, rows: Any) -> None:
        nonlocal calls
        calls += 1
        insert(place, table, rows)
        if calls == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(copying._Target, "insert", insert_some)
    with pytest.raises(KeyboardInterrupt):
        copy_warehouse(source.location, target.location)
    with pytest.raises(WarehouseMisplaced, match="did not come to its end"):
        target.sync()
    done = copy_warehouse(source.location, target.location)
    assert 0 < done.kept_count < sum(done.rows.values())
    assert read_marts(source.location) == read_marts(target.location)


def test_what_was_synced_meanwhile_is_not_mixed_with_what_came_over(
    source: Warehouse, target: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(copying, "make_log", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            copy_warehouse(source.location, target.location)
    source.sandbox.world.advance(days=2)
    source.sync()
    with pytest.raises(WarehouseMisplaced, match="was synced since the copy was begun"):
        copy_warehouse(source.location, target.location)


def test_a_warehouse_that_is_there_is_left_alone(source: Warehouse, target: Warehouse) -> None:
    target.sync()
    with pytest.raises(WarehouseMisplaced, match="holds a warehouse already"):
        copy_warehouse(source.location, target.location)
    target.assert_equals_the_world()


def test_the_command_says_what_it_copied_and_how_to_go_on(run: Run) -> None:
    to_postgres = partial(run, "copy", "--to", "postgres", destination=None)
    assert to_postgres().exit_code == 2
    assert run("sync", destination=None).exit_code == 0
    copied = to_postgres()
    assert copied.exit_code == 0, copied.output
    assert "m3ter-sync sync --destination postgres" in copied.stdout
    assert run("sync").exit_code == 0
    assert to_postgres().exit_code == 2
