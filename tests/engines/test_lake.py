"""A lake holds what DuckDB would, and no file of it ever changes."""

import hashlib
import itertools
import random
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt.extract.storage
import pyarrow as pa
import pytest
from pyarrow import parquet

from m3ter_sync.api import M3terError
from m3ter_sync.sandbox import Sandbox, World, build_world
from m3ter_sync.sandbox.faults import Fault
from m3ter_sync.source.tables import SNAPSHOTS
from m3ter_sync.warehouse.lake import COMMITS, Lake
from m3ter_sync.warehouse.lake_files import Files
from m3ter_sync.warehouse.location import (
    Location,
    WarehouseError,
    WarehouseMisplaced,
)

NOW = datetime(2025, 11, 3, 6, tzinfo=UTC)
# Small, so that a kill finds some loads done and others not.
SMALL = {"threads": 4, "entities_per_load": 12, "page_size": 10}


@pytest.fixture
def world() -> World:
    return build_world(now=NOW, bills=30, notifications=20, runs=600, open_runs=3)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is a bucket."""
    folder = tmp_path / "bucket"
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", folder.as_uri())
    return folder / "m3ter_raw"


@pytest.fixture
def machine(bucket: Path, sandbox: Sandbox, open_warehouse: Callable[..., Any]) -> Any:
    """Makes a machine that syncs into the lake, by its name."""
    return lambda name: open_warehouse(sandbox, name, destination="filesystem")


@pytest.fixture
def lake(machine: Any) -> Any:
    return machine("lake")


def digests(bucket: Path) -> dict[str, str]:
    return {
        str(path.relative_to(bucket)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in bucket.rglob("*")
        if path.is_file()
    }


def history(warehouse: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Each stay of each row, with the number of the listing that it began and ended with."""
    tables = {table.name: warehouse.query(f"from m3ter_raw.{table.name}") for table in SNAPSHOTS}
    ends = ("_dlt_valid_from", "_dlt_valid_to")
    instants = {row[end] for rows in tables.values() for row in rows for end in ends}
    places = {at: place for place, at in enumerate(sorted(filter(None, instants)))}
    return {
        name: sorted(
            (
                (
                    places[row["_dlt_valid_from"]],
                    places.get(row["_dlt_valid_to"]),
                    tuple(
                        (column, value)
                        for column, value in sorted(row.items())
                        if not column.startswith("_dlt") and value is not None
                    ),
                )
                for row in rows
            ),
            key=repr,
        )
        for name, rows in tables.items()
    }


def test_every_move_of_the_world_arrives_and_no_file_ever_changes(
    world: World, lake: Any, bucket: Path
) -> None:
    files: dict[str, str] = {}
    for _ in range(4):
        assert lake.sync().outcome == "succeeded"
        lake.assert_equals_the_world()
        now = digests(bucket)
        assert now.items() >= files.items()
        files = now
        world.advance(1)
    assert len([path for path in files if path.startswith("integration_runs/")]) == 4


def test_where_nothing_changed_only_the_sync_is_written_down(lake: Any, bucket: Path) -> None:
    world = lake.sandbox.world
    for run in list(world.integration_runs.values()):
        if run["status"] not in ("COMPLETE", "ERROR"):
            world.change_run(run["id"], status="COMPLETE")
    for _ in range(2):
        lake.sync()
    before = digests(bucket)
    assert not lake.sync().loads
    assert digests(bucket).keys() - before.keys() == {"syncs/000000003.parquet"}


def test_the_history_is_the_one_that_duckdb_has(
    world: World, lake: Any, sandbox: Sandbox, open_warehouse: Callable[..., Any]
) -> None:
    """Edited, deleted, returned as they were and otherwise, and emptied to a null."""
    duckdb = open_warehouse(sandbox, "duckdb")
    notifications, links = world.notification_configurations, world.integration_configurations
    removed: list[tuple[Any, Any]] = []

    def remove() -> None:
        for table in (notifications, links):
            key = next(iter(table))
            removed.append((table, table.pop(key)))
        world.event_types.pop(0)

    def bring_back() -> None:
        for table, row in removed:
            table[row["id"]] = row
        world.event_types.append("a.new.type")

    def edit() -> None:
        row = next(iter(notifications.values()))
        world.deliveries.change(row, 1762150000000, description="edited", newField="x")
        world.event_types.insert(3, "brought.back")

    def empty() -> None:
        row = next(iter(notifications.values()))
        world.deliveries.change(row, 1762160000000, description=None, newField=None)
        world.event_types.remove("brought.back")

    def move() -> None:
        world.advance(2)

    steps = [edit, remove, bring_back, empty, move, remove, remove, edit, bring_back, move]
    for number, step in enumerate([lambda: None, *steps]):
        step()
        for warehouse in (duckdb, lake):
            warehouse.sync(at=NOW + timedelta(days=number))
        assert history(lake) == history(duckdb), step.__name__
    assert any(end is not None for rows in history(lake).values() for _, end, _ in rows)


def test_a_listing_with_an_unreadable_row_ends_no_history(
    world: World, lake: Any, sandbox: Sandbox, open_warehouse: Callable[..., Any]
) -> None:
    duckdb = open_warehouse(sandbox, "duckdb")
    for number in range(3):
        for warehouse in (duckdb, lake):
            warehouse.sync(at=NOW + timedelta(days=number))
        assert history(lake) == history(duckdb)
        if number == 0:
            first, second, *_ = world.notification_configurations.values()
            first["version"] = "many"
            world.notification_configurations.pop(second["id"])
        else:
            first["version"] = 1


def test_an_unknown_column_that_appears_later_is_null_before(
    world: World, lake: Any, sandbox: Sandbox
) -> None:
    lake.sync()
    sandbox.behaviour.faults.extra_fields = {"newField": "x"}
    world.advance(1)
    lake.sync()
    held = lake.query("select new_field, count(*) as n from m3ter_raw.integration_runs group by 1")
    assert {row["new_field"] for row in held} == {None, "x"}
    sandbox.behaviour.faults.extra_fields = {}
    world.advance(1)
    lake.sync(full_sweep_days=0)
    lake.assert_equals_the_world()


def test_a_list_of_bills_that_is_empty_makes_a_table_that_is_empty(lake: Any) -> None:
    for table in ("integration_configurations", "bills"):
        getattr(lake.sandbox.world, table).clear()
    lake.sync()
    lake.assert_equals_the_world()


@pytest.mark.parametrize("seed", range(1))
def test_a_sync_that_is_killed_again_and_again_goes_on_where_it_was(
    seed: int, lake: Any, bucket: Path
) -> None:
    chance = random.Random(seed)
    kills = 0
    files: dict[str, str] = {}
    for _ in range(20):
        kills += lake.sync_until_killed(chance.randint(2, 7), 0.9 * chance.random(), **SMALL)
        counted = {
            path: digest
            for path, digest in digests(bucket).items()
            if path.startswith(COMMITS) and path.endswith(".parquet")
        }
        assert counted.items() >= files.items()
        files = counted
        if kills == 3:
            break
    assert kills == 3
    lake.sync()
    lake.assert_equals_the_world()


DIE_HALFWAY = """
import os, signal
from fsspec.implementations.local import LocalFileSystem
def die(self, source, target, **_):
    if "/event_types/" in target:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(source, "rb") as file, open(target, "wb") as half:
            half.write(file.read(100))
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, source, target)
whole = LocalFileSystem.put_file
LocalFileSystem.put_file = die
"""
DIE_BEFORE_THE_COMMIT = """
import os, signal
from m3ter_sync.warehouse.lake_files import Files
Files.create = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""
DIE_AFTER_THE_COMMIT = """
import os, signal
from m3ter_sync.warehouse.lake_files import Files
whole = Files.create
Files.create = lambda *args: whole(*args) and os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("prelude", [DIE_HALFWAY, DIE_BEFORE_THE_COMMIT, DIE_AFTER_THE_COMMIT])
def test_a_load_that_was_killed_counts_whole_or_not_at_all(
    prelude: str, world: World, lake: Any
) -> None:
    lake.sync()
    world.event_types.append("one.more")
    world.advance(1)
    assert lake.start(prelude, **SMALL).wait() == -signal.SIGKILL
    world.advance(1)
    lake.sync()
    lake.assert_equals_the_world()


def test_what_no_commit_names_is_never_read(lake: Any, bucket: Path) -> None:
    lake.sync()
    before = lake.dump()
    stray = bucket / "integration_runs/load_id=9999999999.1"
    stray.mkdir()
    (stray / "half.parquet").write_bytes(b"PAR1 half of")
    table = next(bucket.glob("bills/*/*.parquet"))
    (bucket / "bills/load_id=9999999999.1").mkdir()
    shutil.copy(table, bucket / "bills/load_id=9999999999.1/whole.parquet")
    (bucket / "commits/000000009.parquet.77.part").write_bytes(b"PAR1")
    shutil.rmtree(lake.location.folder)
    lake.location.connect(read_only=True).close()
    assert lake.dump() == before


def test_a_first_sync_that_failed_keeps_no_later_one_from_loading(lake: Any) -> None:
    """It writes itself down, before dlt has ever written anything."""
    lake.sandbox.behaviour.faults.probabilities = {Fault.HTML: 1.0}
    with pytest.raises(M3terError):
        lake.sync(at=NOW)
    lake.sandbox.behaviour.faults.probabilities = {}
    lake.sync()
    lake.assert_equals_the_world()


def test_a_new_machine_reads_the_lake_and_asks_nothing_twice(world: World, machine: Any) -> None:
    first, second = machine("first"), machine("second")
    for _ in range(3):
        first.sync()
        world.advance(1)
    first.sync()
    assert second.sync().entities_skipped > 30
    second.assert_equals_the_world()
    assert history(second) == history(first)


WAIT_BEFORE_THE_LOAD = """
import time
from pathlib import Path
from m3ter_sync.warehouse import sync
load = sync.run_pipeline
def wait(*args, **more):
    Path({began!r}).touch()
    while not Path({goes_on!r}).exists():
        time.sleep(0.01)
    return load(*args, **more)
sync.run_pipeline = wait
"""


def test_of_two_syncs_at_once_the_one_that_read_an_older_lake_is_refused(
    world: World, machine: Any, tmp_path: Path
) -> None:
    """Else what it fetched before the other did would count as newer."""
    first, second = machine("first"), machine("second")
    first.sync()
    world.advance(1)
    began, goes_on = tmp_path / "began", tmp_path / "goes_on"
    prelude = WAIT_BEFORE_THE_LOAD.format(began=str(began), goes_on=str(goes_on))
    waiting = first.start(prelude)
    while not began.exists():
        assert waiting.poll() is None
    world.advance(1)
    second.sync()
    goes_on.touch()
    assert waiting.wait() == 1
    first.location.connect().close()
    first.assert_equals_the_world()
    (failed,) = first.query("select error from m3ter_raw.syncs where outcome = 'failed'")
    assert "what this one loaded does not count" in failed["error"]
    world.advance(1)
    first.sync()
    first.assert_equals_the_world()
    syncs = first.query("select sync_number from m3ter_raw.syncs order by 1")
    assert [row["sync_number"] for row in syncs] == [1, 2, 3, 4]


def test_a_clock_that_was_put_back_brings_no_old_version_up(
    world: World, lake: Any, machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dlt names a load after the time; what is newest goes by the commit's number."""
    ids = (f"{1_900_000_000 - step}.5" for step in itertools.count())
    monkeypatch.setattr(dlt.extract.storage, "create_load_id", lambda: next(ids))
    for _ in range(3):
        lake.sync()
        lake.assert_equals_the_world()
        world.advance(1)
    other = machine("other")
    other.location.connect().close()
    assert history(other) == history(lake)
    assert other.rows("integration_runs") == lake.rows("integration_runs")


def test_the_database_that_a_lake_is_read_through_can_be_lost(world: World, lake: Any) -> None:
    for _ in range(3):
        lake.sync()
        world.advance(1)
    before, stays = lake.dump(), history(lake)
    shutil.rmtree(lake.location.folder)
    lake.location.connect().close()
    assert lake.dump() == before
    assert history(lake) == stays


class TestRefusals:
    """What would lose or mix rows is refused in one line."""

    def test_a_commit_that_is_missing(self, world: World, lake: Any, bucket: Path) -> None:
        for _ in range(3):
            lake.sync()
            world.advance(1)
        (bucket / "commits/000000002.parquet").unlink()
        with pytest.raises(WarehouseError, match=r"commits/000000002.parquet is missing"):
            lake.sync()

    def test_a_file_that_is_missing(self, lake: Any, bucket: Path) -> None:
        lake.sync()
        shutil.rmtree(lake.location.folder)
        next(bucket.glob("bills/*/*.parquet")).unlink()
        with pytest.raises(WarehouseError, match=r"cannot be used: .*bills/load_id"):
            lake.sync()
        with pytest.raises(WarehouseError, match=r"cannot be used: .*bills/load_id"):
            lake.location.connect(read_only=True)

    def test_another_lake_in_its_place(self, lake: Any, bucket: Path) -> None:
        lake.sync()
        shutil.rmtree(bucket)
        with pytest.raises(WarehouseMisplaced, match="not the one that was read before"):
            lake.sync()

    def test_another_bucket(
        self, lake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lake.sync()
        monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", (tmp_path / "b2").as_uri())
        with pytest.raises(WarehouseMisplaced, match="Give each a --database"):
            lake.sync()

    def test_another_organization(self, lake: Any, machine: Any) -> None:
        lake.sync()
        lake.sandbox.behaviour.org_id = "another"
        with pytest.raises(WarehouseMisplaced, match="holds organization"):
            machine("other").sync()

    def test_a_warehouse_in_duckdb_is_no_lake_and_a_lake_no_such_warehouse(
        self, lake: Any, sandbox: Sandbox, open_warehouse: Callable[..., Any]
    ) -> None:
        lake.sync()
        lake.location = Location(lake.location.database)
        with pytest.raises(WarehouseMisplaced, match="add --destination filesystem"):
            lake.sync()
        duckdb = open_warehouse(sandbox, "duckdb")
        duckdb.sync()
        duckdb.location = Location(duckdb.location.database, "filesystem")
        with pytest.raises(WarehouseMisplaced, match="is a warehouse of its own"):
            duckdb.sync()

    def test_a_bucket_that_is_a_file(self, lake: Any, bucket: Path) -> None:
        bucket.parent.write_text("a file")
        with pytest.raises(WarehouseError, match="cannot be used"):
            lake.sync()


def test_a_lake_in_a_store_is_written_and_read_without_a_folder(
    world: World, machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`memory://` goes the way that buckets go; docs/lake.md says which were tried."""
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "memory://hold")
    lake = machine("lake")
    for _ in range(3):
        lake.sync()
        lake.assert_equals_the_world()
        world.advance(1)
    files = Files.find(lake.location)
    empty = pa.table({"commit_number": [1]})
    assert not files.create(COMMITS, 1, empty)
    assert files.create(COMMITS, 99, empty)


def test_the_layout_is_what_the_docs_say(lake: Any, bucket: Path) -> None:
    lake.sync()
    commit = Lake.open(lake.location).files.read_log(COMMITS, [1])
    for path, table in zip(
        commit["path"].to_pylist(), commit["table_name"].to_pylist(), strict=True
    ):
        assert path.startswith(f"{table}/load_id={commit['load_id'][0]}/")
        assert parquet.read_metadata(bucket / path).num_rows >= 0
    data = {
        path
        for path in digests(bucket)
        if path.endswith(".parquet") and not path.startswith(("commits", "syncs"))
    }
    assert data == set(commit["path"].to_pylist())
