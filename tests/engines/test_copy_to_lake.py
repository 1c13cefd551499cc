"""A DuckDB warehouse is moved into a lake, and m3ter is asked for nothing again."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt.extract.storage
import duckdb
import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession
from tests.conftest import NOW, Warehouse

from m3ter_sync.cli import main
from m3ter_sync.sandbox import Sandbox, build_world
from m3ter_sync.warehouse import copy_to_lake
from m3ter_sync.warehouse.copy import copy_warehouse
from m3ter_sync.warehouse.lake_files import Files
from m3ter_sync.warehouse.location import Location, WarehouseBusy, WarehouseMisplaced
from m3ter_sync.warehouse.spark import _read_lake
from m3ter_sync.warehouse.sync import Sync

from .test_lake import digests, history


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse in DuckDB whose rows changed, went, came back and got another column.

    All that under a clock that was put back from sync to sync, until it was set right.
    """
    folder = tmp_path_factory.mktemp("source")
    world = build_world(now=NOW, bills=20, notifications=15, runs=400, open_runs=6)
    key, gone = next(iter(world.notification_configurations.items()))
    ids = (f"{1_700_000_000 - step}.5" for step in itertools.count())
    with pytest.MonkeyPatch.context() as patch, Sandbox(world) as sandbox:

        def remove() -> None:
            del world.notification_configurations[key]
            world.event_types.pop(0)

        def bring_back() -> None:
            world.notification_configurations[key] = gone
            next(iter(world.integration_configurations.values()))["name"] = "renamed"
            sandbox.behaviour.faults.extra_fields = {"newField": "2025-11-03"}

        patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
        patch.setattr("tempfile.tempdir", None)
        warehouse = Warehouse(sandbox, folder)
        with patch.context() as back:
            back.setattr(dlt.extract.storage, "create_load_id", lambda: next(ids))
            for number, step in enumerate([lambda: None, remove, bring_back, remove]):
                step()
                warehouse.sync(at=NOW - timedelta(days=number))
                world.advance(1)
        sandbox.behaviour.faults.extra_fields = {}
        Sync(warehouse.settings(), warehouse.location).run()
        yield warehouse


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is a bucket."""
    folder = tmp_path / "bucket"
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", folder.as_uri())
    return folder / "m3ter_raw"


@pytest.fixture
def source(synced: Warehouse, bucket: Path, open_warehouse: Callable[..., Warehouse]) -> Warehouse:
    """The test's own."""
    warehouse = open_warehouse(synced.sandbox)
    warehouse.location.folder.mkdir()
    shutil.copy(synced.location.database, warehouse.location.database)
    return warehouse


@pytest.fixture
def target(source: Warehouse) -> Warehouse:
    moved = Warehouse(source.sandbox, source.location.folder, destination="filesystem")
    moved.location = source.location.beside("filesystem")
    return moved


# What dlt and each log number and name their rows by is no row's content.
_OF_DLT = frozenset({"_dlt_id", "schema_version_hash", "schema_name"})


def read_raw(warehouse: Warehouse) -> dict[str, list[Any]]:
    """All that a mart could be made of, as text; whatever the order of rows and columns."""
    with warehouse.location.connect(read_only=True) as connection:
        names = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema in ('m3ter_raw', 'm3ter') and table_name <> '_dlt_version' "
            "and table_name <> '_dlt_pipeline_state'"
        ).fetchall()
        return {
            name: read_rows(
                connection, name, _OF_DLT | ({"sync_number"} if "raw.s" in name else set())
            )
            for (name,) in names
        }


def read_rows(connection: Any, name: str, without: frozenset[str] = frozenset()) -> list[str]:
    rows = connection.execute(f"select * from {name}").to_arrow_table().to_pylist()
    return sorted(
        repr(sorted(item for item in row.items() if item[0] not in without)) for row in rows
    )


def test_every_row_and_every_mart_says_there_what_it_said_here(
    source: Warehouse, target: Warehouse
) -> None:
    done = copy_warehouse(source.location, target.location)
    assert not done.failed_checks
    assert not done.kept_count
    here, there = read_raw(source), read_raw(target)
    assert here.keys() == there.keys()
    for name in here:
        assert here[name] == there[name], name
    assert done.rows == {table: len(here[f"m3ter_raw.{table}"]) for table in done.rows}
    assert any("2025-11-03" in row for row in here["m3ter_raw.integration_runs"])
    ended = source.query(
        "select 1 from m3ter_raw.event_types where _dlt_valid_to < _dlt_valid_from"
    )
    assert ended, "no clock was put back"


def test_the_next_sync_goes_on_from_there(source: Warehouse, target: Warehouse) -> None:
    copy_warehouse(source.location, target.location)
    unchanged = target.sync()
    assert unchanged.loads == []
    assert unchanged.requests == source.sync().requests
    for _ in range(2):
        source.sandbox.world.advance(days=2)
        source.sandbox.world.event_types.pop()
        moved = target.sync()
        assert moved.requests == source.sync().requests
        target.assert_equals_the_world()
    assert history(target) == history(source)
    before = target.dump()
    shutil.rmtree(target.location.folder)
    target.location.connect().close()
    assert target.dump() == before


def test_a_copy_that_was_cut_short_counts_for_nothing_and_goes_on_where_it_was(
    source: Warehouse, target: Warehouse, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_to_lake, "ROWS_PER_FILE", 100)
    add_rows = Files.add_rows
    calls = itertools.count(1)

    def add_some(files: Files, *args: Any) -> Any:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return add_rows(files, *args)

    monkeypatch.setattr(Files, "add_rows", add_some)
    with pytest.raises(KeyboardInterrupt):
        copy_warehouse(source.location, target.location)
    left = digests(bucket)
    assert len([path for path in left if path.endswith(".parquet")]) == 3
    with pytest.raises(WarehouseMisplaced, match="There is no warehouse in"):
        target.location.connect(read_only=True)
    done = copy_warehouse(source.location, target.location)
    assert done.kept_count == 300
    assert digests(bucket).items() >= left.items()
    assert read_raw(source) == read_raw(target)


def test_what_a_load_that_was_killed_left_behind_comes_over_and_counts_no_more_than_here(
    source: Warehouse, target: Warehouse
) -> None:
    """dlt writes a load down when all of it is there: until then its entities do not count."""
    newest = "(select max(load_id) from m3ter_raw._dlt_loads)"
    with source.location.connect() as connection:
        connection.execute(f"delete from m3ter_raw._dlt_loads where load_id = {newest}")
    copy_warehouse(source.location, target.location)
    assert target.rows("integration_runs") == source.rows("integration_runs")
    assert history(target) == history(source)
    assert target.sync().requests == source.sync().requests
    target.assert_equals_the_world()


def test_what_nobody_named_is_text_in_a_lake_whatever_it_is_here(
    source: Warehouse, target: Warehouse
) -> None:
    """As every later load writes it: files of two types could not be read together."""
    with source.location.connect() as connection:
        connection.execute("alter table m3ter_raw.integration_runs alter new_field type date")
    copy_warehouse(source.location, target.location)
    held = target.query("select distinct new_field from m3ter_raw.integration_runs order by 1")
    assert [row["new_field"] for row in held] == ["2025-11-03", None]


def test_a_lake_that_somebody_syncs_into_is_left_alone(
    source: Warehouse, target: Warehouse, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Warehouse(source.sandbox, bucket.parent.parent / "other", destination="filesystem")
    build = copy_to_lake._build_commit

    def build_late(*args: Any) -> Any:
        other.sync()
        return build(*args)

    with monkeypatch.context() as patched:
        patched.setattr(copy_to_lake, "_build_commit", build_late)
        with pytest.raises(WarehouseBusy, match="does not count"):
            copy_warehouse(source.location, target.location)
    before = other.dump()
    with pytest.raises(WarehouseMisplaced, match="holds a warehouse already"):
        copy_warehouse(source.location, target.location)
    assert other.dump() == before
    other.assert_equals_the_world()


def test_spark_reads_a_lake_that_was_copied(
    source: Warehouse, target: Warehouse, spark: SparkSession
) -> None:
    copy_warehouse(source.location, target.location)
    target.sync()
    try:
        names = list(_read_lake(spark, Files.find(target.location)))
        there = {name: spark.table(f"m3ter_raw.{name}").toArrow() for name in names}
    finally:
        # Others use the session.
        spark.sql("drop schema if exists m3ter_raw cascade")
    assert names
    with target.location.connect(read_only=True) as held, duckdb.connect() as other:
        other.execute("set TimeZone = 'UTC'")
        for name in names:
            other.register("rows", there[name])
            assert read_rows(other, "rows") == read_rows(held, f"m3ter_raw.{name}"), name


def test_the_command_says_what_it_copied_and_how_to_go_on(
    source: Warehouse, target: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(location: Location) -> Any:
        args = ["copy", "--database", str(location.database), "--to", "filesystem"]
        return CliRunner().invoke(main, args)

    copied = copy(source.location)
    assert copied.exit_code == 0, copied.output
    go_on = f"m3ter-sync sync --destination filesystem --database {target.location.database}"
    assert go_on in copied.stdout
    again = copy(source.location)
    assert again.exit_code == 2
    assert "holds a warehouse already" in again.stderr
    of_lake = copy(target.location)
    assert of_lake.exit_code == 2
    assert "is what a lake is read through" in of_lake.stderr
