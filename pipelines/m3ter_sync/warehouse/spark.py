"""Builds the models of a lake on Spark, and checks them there.

    commits ─► the files that count ─► m3ter_raw (tables) ─► m3ter_staging ─► m3ter

Spark reads the lake's Parquet itself: no row goes through this machine.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from m3ter_sync.source.tables import SNAPSHOTS, TABLES, Table
from m3ter_sync.warehouse.checks import CheckResult, run_checks_on
from m3ter_sync.warehouse.dialects import translate
from m3ter_sync.warehouse.lake import COMMITS, SYNCS
from m3ter_sync.warehouse.lake_files import Files
from m3ter_sync.warehouse.location import RAW_SCHEMA, Location, WarehouseError, WarehouseMisplaced
from m3ter_sync.warehouse.models import BuildResult
from m3ter_sync.warehouse.spark_models import build_models_on_spark
from m3ter_sync.warehouse.versions import COMMIT_NUMBER, select_history, select_newest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_LOG = logging.getLogger(__name__)
# What Hadoop calls the stores that fsspec calls otherwise.
_SCHEMES = {"file": "file", "s3": "s3a", "gs": "gs", "gcs": "gs", "abfss": "abfss"}
_LOADS = f"""
select distinct load_id, 'm3ter' as schema_name, 0 as status, committed_at as inserted_at
from {COMMITS}
"""  # noqa: S608 - our own name


@contextmanager
def open_session(location: Location, master: str | None = None) -> Iterator["SparkSession"]:
    """A Spark session, with the catalog that Spark's own configuration names.

    Where that names no place for tables (`spark.sql.warehouse.dir`), they and their catalog are
    put beside the warehouse, into a folder named after it.

    Args:
        location: The lake.
        master: The cluster; by default what Spark is configured to use, else this machine.

    Raises:
        WarehouseMisplaced: PySpark or Java is missing, or there is no such cluster.
    """
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise WarehouseMisplaced(
            f"Spark is missing ({error}); run: pip install 'm3ter-sync[spark]'"
        ) from None
    try:
        SparkContext._ensure_initialized()
    except (PySparkException, OSError) as error:
        raise WarehouseMisplaced(f"Spark cannot be started; it takes Java 17: {error}") from error
    builder = SparkSession.builder.appName("m3ter-sync").enableHiveSupport()
    options = {"spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC"}
    if master:
        options["spark.master"] = master
    if not SparkConf().contains("spark.sql.warehouse.dir"):
        folder = location.database.with_suffix(".spark")
        folder.mkdir(parents=True, exist_ok=True)
        options["spark.sql.warehouse.dir"] = (folder / "tables").as_uri()
        options["spark.hadoop.javax.jdo.option.ConnectionURL"] = (
            f"jdbc:derby:;databaseName={folder / 'catalog'};create=true"
        )
        java = SparkContext._jvm.java.lang.System  # type: ignore[union-attr]
        java.setProperty("derby.stream.error.file", str(folder / "derby.log"))
    for name, value in options.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise WarehouseMisplaced(f"Spark cannot be started: {_first_line(error)}") from error
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


def build_on_spark(
    session: "SparkSession", location: Location, settings: Mapping[str, object]
) -> BuildResult:
    """Reads the lake as it is now into `m3ter_raw`, and builds every model anew.

    Args:
        session: Its catalog gets the schemas `m3ter_raw`, `m3ter_staging` and `m3ter`.
        location: The lake.
        settings: Values by name, as for `build_models`.

    Raises:
        WarehouseMisplaced: the lake is empty, or where Spark cannot read it.
        ModelError: a model or a setting cannot be used.
    """
    with _explained(location):
        raw_columns = _read_lake(session, Files.find(location))
        return build_models_on_spark(session, raw_columns=raw_columns, settings=settings)


def check_on_spark(session: "SparkSession", *, now: datetime | None = None) -> list[CheckResult]:
    """Runs every check there, those that fail included.

    Raises:
        ModelError: a check cannot be run.
    """

    def ask(sql: str, most: int) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        found = session.sql(sql)
        return tuple(found.columns), [tuple(row) for row in found.limit(most).collect()]

    return run_checks_on("spark", ask, now=now or datetime.now(UTC))


def _read_lake(session: "SparkSession", files: Files) -> dict[str, list[str]]:
    """Makes the tables of m3ter_raw; their columns, by table."""
    root = _address(files)
    commits, syncs = (
        [f"{root}/{log}/{number:09}.parquet" for number in files.list_numbers(log)]
        for log in (COMMITS, SYNCS)
    )
    if not commits:
        raise WarehouseMisplaced(
            f"There is no warehouse in {files.url}. Run m3ter-sync sync --destination filesystem "
            "first."
        )
    session.sql(f"create schema if not exists {RAW_SCHEMA}")
    _read(session, commits).createOrReplaceTempView(COMMITS)
    paths: dict[str, list[str]] = {}
    named = session.table(COMMITS).where("path is not null").select("table_name", "path")
    for name, path in named.collect():
        paths.setdefault(name, []).append(f"{root}/{path}")
    raw = {"_dlt_loads": session.sql(_LOADS)}
    if syncs := [*paths.get(SYNCS, ()), *syncs]:
        raw[SYNCS] = _read(session, syncs)
    for table in TABLES:
        if table.name in paths:
            raw[table.name] = _pick_current(session, table, _read(session, paths[table.name]))
    for name, rows in raw.items():
        rows.write.mode("overwrite").format("parquet").saveAsTable(f"{RAW_SCHEMA}.{name}")
    return {name: rows.columns for name, rows in raw.items()}


def _read(session: "SparkSession", paths: list[str]) -> "DataFrame":
    """All columns that any of the files has."""
    return session.read.option("mergeSchema", "true").parquet(*paths)


def _pick_current(session: "SparkSession", table: Table, rows: "DataFrame") -> "DataFrame":
    """What a table holds now, of all that was ever written of it."""
    numbers = session.sql(f"select distinct load_id, {COMMIT_NUMBER} from {COMMITS}")  # noqa: S608 - our own names
    versions = rows.join(numbers, rows["_dlt_load_id"] == numbers["load_id"]).drop("load_id")
    versions.createOrReplaceTempView("versions")
    select = select_history if table in SNAPSHOTS else select_newest
    return session.sql(translate(select(table, "versions", versions.columns), "spark"))


def _address(files: Files) -> str:
    """The folder of all, as Spark is to be told."""
    if files.is_local:
        return f"file://{files.root}"
    scheme, _, rest = files.url.partition("://")
    if scheme not in _SCHEMES:
        raise WarehouseMisplaced(
            f"Spark cannot read {files.url}: it takes a folder, s3://, gs:// or "
            "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net."
        )
    return f"{_SCHEMES[scheme]}://{rest.rstrip('/')}/{RAW_SCHEMA}"


@contextmanager
def _explained(location: Location) -> Iterator[None]:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped] # it has none
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise WarehouseError(
            f"Spark failed to build the models of {location.name}: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    # Of an error in Java, py4j says which of its objects was called.
    text = str(getattr(error, "java_exception", None) or error)
    return text.strip().splitlines()[0].rstrip(".")
