"""Of one world, every mart is the same: in DuckDB, on PostgreSQL, in a lake, and on Spark."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from tests.conftest import Warehouse

from m3ter_sync.sandbox import Sandbox, build_world
from m3ter_sync.warehouse.sql_files import Model, read_models

from .postgres import PostgresServer
from .values import assert_same_rows

# Beside what a load is named after, the log of syncs says how long each took.
_TIMES = {
    "loaded_at",
    "last_loaded_at",
    "last_changed_at",
    "sync_seconds",
    "finished_at",
    "sync_id",
}
PROGRAM = Path(sysconfig.get_path("scripts")) / "m3ter-sync"
_MARTS = [model for model in read_models() if model.schema == "m3ter"]
# In another process than the tests': Spark is configured once in each.
_DUMP = """
import sys
from pathlib import Path
from pyarrow import parquet
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.spark import open_session
database, folder, *names = sys.argv[1:]
with open_session(Location.of(database, "filesystem")) as session:
    for name in names:
        parquet.write_table(session.table(name).toArrow(), Path(folder) / f"{name}.parquet")
    comment = session.catalog.getTable("m3ter.stuck_runs").description
    Path(folder, "comment").write_text(comment)
"""


@dataclass
class Built:
    """One world in three warehouses, each with its models; and Spark's rows of the lake."""

    duckdb: Warehouse
    postgres: Warehouse
    lake: Warehouse
    spark: Path
    output: str

    def ask(self, warehouse: Warehouse, columns: str, model: Model) -> list[tuple[Any, ...]]:
        with warehouse.location.connect(read_only=True) as connection:
            return connection.execute(f"select {columns} from {model.full_name}").fetchall()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Built]:
    """After three moves, at each of which all were synced."""
    folder = tmp_path_factory.mktemp("lakes")
    now = datetime.now(UTC) - timedelta(days=4)
    world = build_world(5, now=now, bills=50, notifications=40, runs=900, days=60, open_runs=12)
    with pytest.MonkeyPatch.context() as patch, Sandbox(world) as sandbox:
        patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
        patch.setattr("tempfile.tempdir", None)
        patch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", (folder / "bucket").as_uri())
        patch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres.create_database())
        one = Warehouse(sandbox, folder / "duckdb")
        served = Warehouse(sandbox, folder / "postgres", destination="postgres")
        lake = Warehouse(sandbox, folder / "lake", destination="filesystem")
        warehouses = (one, served, lake)
        for _ in range(4):
            at = world.now + timedelta(hours=1)
            for warehouse in warehouses:
                warehouse.sync(at=at)
            world.advance(1)
            sandbox.behaviour.faults.extra_fields = {"newField": "x"}
        for warehouse in warehouses:
            _run_program(warehouse, "models")
        output = _run_program(lake, "models", "--engine", "spark")
        rows = folder / "spark"
        rows.mkdir()
        names = [model.full_name for model in _MARTS]
        subprocess.run(
            [sys.executable, "-c", _DUMP, lake.location.database, rows, *names],
            check=True,
            capture_output=True,
        )
        yield Built(one, served, lake, rows, output)


def _run_program(warehouse: Warehouse, *args: str) -> str:
    where = ["--database", str(warehouse.location.database)]
    if warehouse.location.destination:
        where += ["--destination", warehouse.location.destination]
    program = [PROGRAM, *args, *where]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("model", _MARTS, ids=lambda model: model.name)
def test_postgresql_has_every_mart_that_duckdb_has(built: Built, model: Model) -> None:
    names = tuple(column.name for column in model.columns if column.name not in _TIMES)
    columns = ", ".join(names)
    wanted = built.ask(built.duckdb, columns, model)
    assert_same_rows(model.name, names, built.ask(built.postgres, columns, model), wanted)


@pytest.mark.parametrize("model", _MARTS, ids=lambda model: model.name)
def test_a_lake_has_every_mart_that_duckdb_has(built: Built, model: Model) -> None:
    names = tuple(column.name for column in model.columns if column.name not in _TIMES)
    columns = ", ".join(names)
    wanted = built.ask(built.duckdb, columns, model)
    assert wanted or model.name in ("stuck_runs",)
    assert_same_rows(model.name, names, built.ask(built.lake, columns, model), wanted)


@pytest.mark.parametrize("model", _MARTS, ids=lambda model: model.name)
def test_spark_has_every_mart_that_the_lake_has(built: Built, model: Model) -> None:
    names = tuple(column.name for column in model.columns)
    found = parquet.read_table(built.spark / f"{model.full_name}.parquet")
    assert tuple(found.column_names) == names
    rows = [tuple(row.values()) for row in found.to_pylist()]
    assert_same_rows(model.name, names, rows, built.ask(built.lake, ", ".join(names), model))


def test_spark_has_its_say_in_words_and_in_the_catalog(built: Built) -> None:
    assert built.output.startswith("Rebuilt ")
    (model,) = (model for model in _MARTS if model.name == "stuck_runs")
    assert (built.spark / "comment").read_text() == model.comment


def test_without_spark_or_a_lake_it_is_told(built: Built, tmp_path: Path) -> None:
    """An environment without PySpark, and a warehouse that is none in a lake."""
    (tmp_path / "pyspark.py").write_text("raise ModuleNotFoundError('No module named pyspark')")
    where = ["--database", str(built.lake.location.database)]
    program = [PROGRAM, "models", "--engine", "spark", *where]
    for args, says in (
        (["--destination", "filesystem"], "pip install 'm3ter-sync[spark]'"),
        ([], "it needs --destination filesystem"),
    ):
        done = subprocess.run(
            [*program, *args],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert says in done.stderr
