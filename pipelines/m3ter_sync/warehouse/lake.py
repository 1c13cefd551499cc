"""A lake: immutable Parquet under a bucket URL, and the DuckDB database that it is read through.

    m3ter_raw/TABLE/load_id=…/….parquet   what dlt wrote
    m3ter_raw/commits/000000042.parquet   which of those files count, from which commit on
    m3ter_raw/syncs/000000137.parquet     what each sync did

A file is only ever added. A load counts once its commit is there, and a commit's number is given
to one writer alone: who read the lake before another added to it cannot add to it, and reads it
anew. The database holds what the commits up to its newest say, and can be made again at any time.
Why so: docs/decisions/0018-lake.md.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from m3ter_sync.source.tables import SNAPSHOTS, TABLES, Table
from m3ter_sync.warehouse.dlt_pipeline import LAYOUT
from m3ter_sync.warehouse.lake_files import Files
from m3ter_sync.warehouse.location import (
    LAKE_SCHEMA,
    RAW_SCHEMA,
    Location,
    WarehouseBusy,
    WarehouseMisplaced,
    is_of_lake,
)
from m3ter_sync.warehouse.memory import with_enough_memory
from m3ter_sync.warehouse.models import quote_text, transaction
from m3ter_sync.warehouse.permissions import make_data_folder
from m3ter_sync.warehouse.syncs import SYNCS_TABLE
from m3ter_sync.warehouse.versions import COMMIT_NUMBER, quote_name, select_history, select_newest

if TYPE_CHECKING:
    import duckdb
    from dlt.common.pipeline import LoadInfo

COMMITS, SYNCS = "commits", "syncs"
_FIELDS: list[tuple[str, pa.DataType]] = [
    (COMMIT_NUMBER, pa.int64()),
    ("committed_at", pa.timestamp("us", tz="UTC")),
    ("load_id", pa.string()),
    ("table_name", pa.string()),
    ("path", pa.string()),
]
_COMMIT = pa.schema(_FIELDS)
# Commits that are read together: DuckDB holds every file of a query open, at 0.1 MB each.
_AT_ONCE = 500
_BY_NAME = {table.name: table for table in TABLES}
# Where the database keeps each log, its number, and what tells one lake's from another's.
_HELD = {
    COMMITS: (f"{LAKE_SCHEMA}.{COMMITS}", COMMIT_NUMBER, "load_id"),
    SYNCS: (f"{RAW_SCHEMA}.{SYNCS}", "sync_number", "sync_id"),
}
_TABLES = f"""
create schema if not exists {LAKE_SCHEMA};
create schema if not exists {RAW_SCHEMA};
create table if not exists {LAKE_SCHEMA}.origin (url varchar);
create table if not exists {LAKE_SCHEMA}.{COMMITS} (
    {COMMIT_NUMBER} bigint, committed_at timestamptz, load_id varchar, table_name varchar,
    path varchar
);
create or replace view {RAW_SCHEMA}._dlt_loads as
select distinct load_id, 'm3ter' as schema_name, 0 as status, committed_at as inserted_at
from {LAKE_SCHEMA}.{COMMITS};
"""  # noqa: S608 - our own names


class Lake:
    """A lake that is open: its files, and the database that it is read through.

    Attributes:
        files: Its files.
        connection: The database.
        number: The newest commit that was read, or made here.
    """

    def __init__(self, files: Files, connection: "duckdb.DuckDBPyConnection") -> None:
        self.connection = connection
        self.number = 0
        self.files = files

    @classmethod
    def open(cls, location: Location, *, read_only: bool = False) -> "Lake":
        """Opens the database, and brings it to what the lake holds now.

        Raises:
            WarehouseMisplaced: the database is another's, or the lake is empty and only read.
            WarehouseError: the lake cannot be read; the database is as it was.
        """
        files = Files.find(location)
        make_data_folder(location.folder)
        lake = cls(files, location.open_database())
        try:
            lake._prepare(location)
            lake.follow()
            if read_only:
                if lake.is_empty:
                    raise WarehouseMisplaced(
                        f"There is no warehouse in {files.url}. Run m3ter-sync sync "
                        f"--destination {location.destination} first."
                    )
                lake.connection.close()
                lake.connection = location.open_database(read_only=True)
        except BaseException:
            lake.connection.close()
            raise
        return lake

    @property
    def is_empty(self) -> bool:
        """Whether nobody ever synced into it, with or without success."""
        return not self.number and not self._newest(SYNCS)[0]

    def _prepare(self, location: Location) -> None:
        """Makes the tables that the database needs, where it is new."""
        tables = "select 1 from duckdb_tables() where database_name = current_database()"
        if not is_of_lake(self.connection) and self.connection.execute(tables).fetchone():
            raise WarehouseMisplaced(
                f"{location.database} is a warehouse of its own; a lake is read through another "
                "database. Name one with --database."
            )
        with transaction(self.connection):
            self.connection.execute(_TABLES + SYNCS_TABLE)
            # Our own schema.
            origin = self.connection.execute(f"select url from {LAKE_SCHEMA}.origin").fetchone()  # noqa: S608 - our own names
            if origin is None:
                insert = f"insert into {LAKE_SCHEMA}.origin values (?)"  # noqa: S608 - the same
                self.connection.execute(insert, [self.files.url])
            elif origin[0] != self.files.url:
                raise WarehouseMisplaced(
                    f"{location.database} is what the lake {origin[0]} is read through, and the "
                    f"settings name {self.files.url}. Give each a --database in a folder of its "
                    "own."
                )

    def follow(self, up_to: int | None = None) -> None:
        """Brings the database to what the lake holds, or held at a commit.

        What it cannot read to the end it leaves as it was at an earlier commit.

        Raises:
            WarehouseError: the lake cannot be read, or a file that counts is not there.
        """
        # The syncs first: what one of them loaded was committed before it was written down.
        syncs = self._list_new(SYNCS) if up_to is None else range(0)
        commits = self._list_new(COMMITS, up_to)
        with self.files.reaching(), self.files.known_to(self.connection):
            for log, numbers in ((COMMITS, commits), (SYNCS, syncs)):
                for start in range(0, len(numbers), _AT_ONCE):
                    rows = self.files.read_log(log, numbers[start : start + _AT_ONCE])
                    _apply(self.connection, self.files, log, rows)
        self.number = self._newest(COMMITS)[0]

    def add(self, info: "LoadInfo") -> None:
        """Makes what dlt loaded count.

        Raises:
            WarehouseBusy: another added to the lake after this one read it; nothing counts.
        """
        for package in info.load_packages:
            files = [job.job_file_info for job in package.jobs["completed_jobs"]]
            committed_at = datetime.now(UTC)
            rows = [
                {
                    COMMIT_NUMBER: self.number + 1,
                    "committed_at": committed_at,
                    "load_id": package.load_id,
                    "table_name": file.table_name,
                    "path": LAYOUT.format(
                        table_name=file.table_name,
                        load_id=package.load_id,
                        file_id=file.file_id,
                        ext=file.file_format,
                    ),
                }
                for file in files
                if file.table_name in _BY_NAME
            ]
            if rows:
                self.commit(rows)

    def commit(self, rows: list[dict[str, object]]) -> None:
        """Makes the files that these rows name count, as the next commit.

        Args:
            rows: The newest load first. Of loads whose rows are in files of others, `table_name`
                and `path` are null, and their number may be any lower one.

        Raises:
            WarehouseBusy: another added to the lake after this one read it; nothing counts.
        """
        commit = pa.Table.from_pylist(rows, schema=_COMMIT)
        if not self.files.create(COMMITS, self.number + 1, commit):
            raise WarehouseBusy(
                f"Another m3ter-sync added to the lake {self.files.url} while this one was at "
                "work; what this one loaded does not count. Sync again."
            )
        self.follow(up_to=self.number + 1)

    def record(self, row: dict[str, object]) -> None:
        """Adds a row to the log of syncs, under the next number that is free."""
        number = self._newest(SYNCS)[0] + 1
        schema = self.connection.execute(f"from {RAW_SCHEMA}.{SYNCS} limit 0").to_arrow_table()
        while True:
            numbered = pa.Table.from_pylist([row | {"sync_number": number}], schema.schema)
            if self.files.create(SYNCS, number, numbered):
                break
            number += 1
        self.follow()

    def _newest(self, log: str) -> tuple[int, str | None]:
        """The newest row of a log that the database has: its number, and what names it."""
        table, number, name = _HELD[log]
        # Our own names.
        sql = f"select coalesce(max({number}), 0), max_by({name}, {number}) from {table}"  # noqa: S608 - our own names
        found: tuple[int, str | None] = self.connection.execute(sql).fetchall()[0]
        return found

    def _list_new(self, log: str, up_to: int | None = None) -> range:
        """The numbers of a log that the database has not read."""
        numbers = self.files.list_numbers(log)
        newest, name = self._newest(log)
        if newest:
            found = self.files.read_log(log, [newest]) if newest in numbers else None
            if not found or found.column(_HELD[log][2])[0].as_py() != name:
                raise WarehouseMisplaced(
                    f"The lake {self.files.url} is not the one that was read before: it has no "
                    f"{log}/{newest:09}.parquet of {name}. Move the --database away to read it "
                    "from its beginning."
                )
        return range(newest + 1, (len(numbers) if up_to is None else up_to) + 1)


@with_enough_memory
def _apply(
    connection: "duckdb.DuckDBPyConnection",
    files: Files,
    log: str,
    rows: pa.Table,
) -> None:
    """Takes in what a log says: the rows of the files that it names, too."""
    with transaction(connection):
        _insert(connection, _HELD[log][0], rows)
        paths: dict[str, list[str]] = {}
        for row in rows.to_pylist() if log == COMMITS else ():
            if row["path"]:
                paths.setdefault(row["table_name"], []).append(files.address_of(row["path"]))
        for path in paths.pop(SYNCS, ()):
            # Those of a warehouse that was copied.
            rows_of = f"read_parquet({quote_text(path)}, hive_partitioning = false)"
            connection.execute(f"insert into {_HELD[SYNCS][0]} by name from {rows_of}")
        for name, of_table in paths.items():
            table = _BY_NAME[name]
            if table in SNAPSHOTS:
                _add_changes(connection, table, of_table)
            else:
                _merge(connection, table, of_table)


def _insert(connection: "duckdb.DuckDBPyConnection", table: str, rows: pa.Table) -> None:
    connection.register("lake_rows", rows)
    # Our own table.
    connection.execute(f"insert into {table} by name from lake_rows")
    connection.unregister("lake_rows")


def _merge(connection: "duckdb.DuckDBPyConnection", table: Table, paths: list[str]) -> None:
    """Puts the newest version of each row into a table, in place of the one that it has."""
    target, versions = f"{RAW_SCHEMA}.{table.name}", _versions(paths)
    newest = select_newest(table, versions, _columns_of(connection, f"from {versions}"))
    # Our own names, and paths that are quoted.
    connection.execute(f"create or replace temp table lake_newest as {newest}")
    _make_room(connection, target, "lake_newest")
    same = " and ".join(f'held."{key}" = newest."{key}"' for key in table.primary_key)
    connection.execute(f"delete from {target} as held using lake_newest as newest where {same}")  # noqa: S608 - our own names
    connection.execute(f"insert into {target} by name from lake_newest")
    connection.execute("drop table lake_newest")


def _add_changes(connection: "duckdb.DuckDBPyConnection", table: Table, paths: list[str]) -> None:
    """Adds to the changes of a table, and tells its history anew."""
    changes, versions = f"{LAKE_SCHEMA}.{table.name}", _versions(paths)
    # Our own names, and paths that are quoted.
    connection.execute(f"create or replace temp table lake_newest as from {versions}")
    _make_room(connection, changes, "lake_newest")
    connection.execute(f"insert into {changes} by name from lake_newest")
    connection.execute("drop table lake_newest")
    history = select_history(table, changes, _columns_of(connection, f"from {changes}"))
    connection.execute(f"create or replace table {RAW_SCHEMA}.{table.name} as {history}")


def _make_room(connection: "duckdb.DuckDBPyConnection", target: str, source: str) -> None:
    """Gives a table all columns of another."""
    connection.execute(f"create table if not exists {target} as from {source} limit 0")
    held = _columns_of(connection, f"from {target}")
    for name, kind in _columns_of(connection, f"from {source}").items():
        if name not in held:
            connection.execute(f"alter table {target} add column {quote_name(name)} {kind}")


def _columns_of(connection: "duckdb.DuckDBPyConnection", query: str) -> dict[str, str]:
    """The columns that a query finds, with their types."""
    return {row[0]: row[1] for row in connection.execute(f"describe {query}").fetchall()}


def _versions(paths: list[str]) -> str:
    """All rows of some files, with the number of the commit that each is of."""
    # Our own names, and paths that are quoted.
    return f"""(
        select each.*, loads.{COMMIT_NUMBER}
        from read_parquet(
            [{", ".join(map(quote_text, paths))}], union_by_name = true, hive_partitioning = false
        ) as each
        inner join (select distinct load_id, {COMMIT_NUMBER} from {LAKE_SCHEMA}.{COMMITS}) as loads
            on each._dlt_load_id = loads.load_id
    ) as versions"""  # noqa: S608 - our own names
