"""A warehouse on a PostgreSQL server: how it is reached, asked, and what its refusals mean.

It takes DuckDB's SQL, as every other warehouse does, and translates it. Whoever must speak
PostgreSQL's own uses `run`.
"""

import io
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from psycopg2 import errors, sql
from sqlglot import exp

from m3ter_sync.redaction import register_secret
from m3ter_sync.source.tables import SNAPSHOTS, TABLES
from m3ter_sync.warehouse.location import (
    MARTS_SCHEMA,
    RAW_SCHEMA,
    STAGING_SCHEMA,
    WarehouseError,
    WarehouseLockedOut,
    WarehouseMisplaced,
)
from m3ter_sync.warehouse.postgres_errors import (
    LOCK_TIMEOUT,
    SETTING,
    describe_error,
    refuse_entry,
    telling_errors,
)

if TYPE_CHECKING:
    from dlt.destinations.impl.postgres.configuration import PostgresCredentials

APPLICATION = "m3ter-sync"
_SESSION = {
    "timezone": "UTC",
    "lock_timeout": LOCK_TIMEOUT,
    # The session that holds the lock says nothing while m3ter is asked, and that may take hours.
    "idle_session_timeout": "0",
    "client_min_messages": "warning",
    # How the numbers and instants are written that are read here.
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    # To compile the models takes longer than they do.
    "jit": "off",
}
# A connection that nothing is said on for long is dropped by firewalls, and the lock with it.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6}
_TYPES = {
    pa.string(): "text",
    pa.large_string(): "text",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.float64(): "double precision",
    pa.date32(): "date",
}
# The backslash first: it is in all the others.
_ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
# The second is where dlt puts what it is about to merge.
_ALL_SCHEMAS = (RAW_SCHEMA, f"{RAW_SCHEMA}_staging", STAGING_SCHEMA, MARTS_SCHEMA)
_RIGHTS = """
select 'TEMPORARY on the database', has_database_privilege(current_database(), 'temporary')
union all
select distinct
    case when to_regnamespace(name) is null then 'CREATE on the database'
        else 'CREATE on the schema ' || name end,
    case when to_regnamespace(name) is null
        then has_database_privilege(current_database(), 'create')
        else has_schema_privilege(to_regnamespace(name)::oid, 'create, usage') end
from unnest(%s) as wanted (name)
"""
_STATE = """
select to_regclass(%(table)s || '_key') is not null, pg_stat_get_mod_since_analyze(oid) > 0
from pg_class where oid = to_regclass(%(table)s)
"""
_USERS = """
with recursive readers (relation) as (
    select oid from pg_class
    where oid = to_regclass(%(name)s)
        or relnamespace = (select oid from pg_namespace where nspname = %(name)s)
    union
    select rules.ev_class
    from readers
    inner join pg_depend as links
        on links.refclassid = 'pg_class'::regclass and links.refobjid = readers.relation
    inner join pg_rewrite as rules
        on links.classid = 'pg_rewrite'::regclass and links.objid = rules.oid
)
select distinct format(
    'process %%s (%%s%%s) since %%s', activity.pid, activity.usename,
    coalesce(', ' || nullif(activity.application_name, ''), ''),
    to_char(activity.xact_start, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
)
from pg_locks as locks
inner join pg_stat_activity as activity on locks.pid = activity.pid
where locks.granted and locks.pid != pg_backend_pid()
    and locks.relation in (select relation from readers)
"""
_SIZE = """
select coalesce(sum(pg_total_relation_size(relations.oid)), 0)
from pg_class as relations inner join pg_namespace as schemas on relnamespace = schemas.oid
where schemas.nspname = any(%s) and relations.relkind in ('r', 'm')
"""
_MARK = "m3ter_sync_parameter"


def read_credentials(*, read_only: bool = False) -> "PostgresCredentials":
    """What dlt is configured to reach the server with; its sessions behave as ours do.

    Args:
        read_only: Nothing can be written in such a session.

    Raises:
        WarehouseMisplaced: nothing is configured, or it is no address of a PostgreSQL database.
    """
    from dlt.common.configuration.exceptions import ConfigurationException
    from dlt.destinations import postgres
    from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration

    spec = PostgresClientConfiguration()._bind_dataset_name(RAW_SCHEMA)
    try:
        credentials = postgres().configuration(spec).credentials
    except (ConfigurationException, ValueError):
        # What dlt says may repeat what was given.
        raise WarehouseMisplaced(
            "The destination postgres is not configured: give the address of a database, with user "
            f"and password, as {SETTING} in the environment or as credentials under "
            "[destination.postgres] in .dlt/secrets.toml."
        ) from None
    if credentials.password:
        register_secret(credentials.password)
    query = dict(credentials.query or {})
    given = str(query.get("options", "")).split()
    ours = [f"-c{name}={value}" for name, value in _SESSION.items()]
    if read_only:
        ours.append("-cdefault_transaction_read_only=on")
    # dlt writes a space into its URL as +, which is none to PostgreSQL.
    query["options"] = "\t".join([*given, *ours])
    query["application_name"] = APPLICATION
    credentials.query = query
    return credentials


def build_destination() -> Any:
    """The destination as dlt takes it; see `read_credentials`."""
    from dlt.destinations import postgres
    from dlt.destinations.impl.postgres.postgres import PostgresParquetCopyJob

    # As a whole, dlt 1.31 cannot copy a file without rows; and it holds the others in memory.
    PostgresParquetCopyJob._ingest_per_rowgroup = True
    # To truncate a table takes a lock that a reader of it, such as a backup, holds up.
    return postgres(read_credentials(), supports_truncate_command=False)


def connect(*, read_only: bool = False, purpose: str | None = None) -> "PostgresConnection":
    """Opens the database.

    Args:
        read_only: Nothing can be written on this connection.
        purpose: What others see that it is for; by default the program's name alone.

    Raises:
        WarehouseMisplaced: it is not configured, or the server lets us not in.
        WarehouseError: the server does not answer.
    """
    given: dict[str, Any] = {
        "dsn": read_credentials(read_only=read_only).to_native_representation(),
        "application_name": purpose or APPLICATION,
        "client_encoding": "utf8",
        **_KEEPALIVE,
    }
    try:
        native = psycopg2.connect(**given)
    except psycopg2.Error as error:
        raise refuse_entry(error) from None
    if (encoding := native.get_parameter_status("server_encoding")) != "UTF8":
        native.close()
        raise WarehouseMisplaced(
            f"The PostgreSQL database has the encoding {encoding}, which cannot hold every text: "
            "make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )
    return PostgresConnection(native)


def open_existing() -> "PostgresConnection":
    """Opens the database to read what a sync has loaded.

    Raises:
        WarehouseMisplaced: as `connect`, and where none ever has.
        WarehouseError: the server does not answer.
    """
    connection = connect(read_only=True)
    if connection.holds_warehouse():
        return connection
    connection.close()
    raise WarehouseMisplaced(
        f"There is no warehouse in the PostgreSQL database that {SETTING} names. Run m3ter-sync "
        "sync --destination postgres first."
    )


def name_process(command: str) -> str:
    """What a connection is called on the server, so that others are told who it is."""
    return f"{APPLICATION}/{command}/{os.getpid()}@{socket.gethostname()}"


class PostgresResult:
    """The rows that a statement found."""

    def __init__(self, cursor: "psycopg2.extensions.cursor") -> None:
        self._cursor = cursor

    @property
    def description(self) -> Sequence[Any] | None:
        """A tuple a column, of which the first item is its name."""
        return self._cursor.description

    @property
    def row_count(self) -> int:
        """How many rows the statement touched."""
        return int(self._cursor.rowcount)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row; None after the last."""
        return self._cursor.fetchone()

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """The next rows, at most so many."""
        return self._cursor.fetchmany(size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return self._cursor.fetchall()

    def to_arrow_table(self) -> pa.Table:
        """All rows that are left, as an Arrow table."""
        names = [column[0] for column in self._cursor.description or ()]
        rows = self.fetchall()
        columns = [pa.array([row[place] for row in rows]) for place in range(len(names))]
        return pa.Table.from_arrays(columns, names=names)


class PostgresConnection:
    """A database of a PostgreSQL server that is open; each statement stands for itself."""

    def __init__(self, native: "psycopg2.extensions.connection") -> None:
        self.native = native
        native.autocommit = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> PostgresResult:
        """Runs a statement of DuckDB's SQL; `?` stands for a parameter.

        Raises:
            WarehouseIncomplete: it names a relation or column that is not there.
            WarehouseError: it cannot be run.
        """
        text = _translate(statement)
        if parameters is None:
            return self.run(text)
        return self.run(text.replace("%", "%%").replace(_MARK, "%s"), parameters)

    def run(
        self, statement: Any, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> PostgresResult:
        """Runs a statement of PostgreSQL's SQL; `%s` stands for a parameter, if there are any.

        Raises:
            WarehouseIncomplete: it names a relation or column that is not there.
            WarehouseError: it cannot be run.
        """
        with telling_errors():
            cursor = self.native.cursor()
            cursor.execute(statement, parameters)
            return PostgresResult(cursor)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the statements, or none."""
        self.run("begin")
        try:
            yield
        except BaseException:
            # A connection that was lost has rolled back by itself.
            with suppress(WarehouseError):
                self.run("rollback")
            raise
        else:
            self.run("commit")

    def register(self, name: str, rows: pa.Table) -> None:
        """Lets statements read an Arrow table under a name: it is copied into a temporary one."""
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(_name_type(field.type)))
            for field in rows.schema
        )
        self.unregister(name)
        self.run(sql.SQL("create temp table {} ({})").format(sql.Identifier(name), columns))
        copy = sql.SQL("copy {} from stdin").format(sql.Identifier(name))
        with telling_errors(), self.native.cursor() as cursor:
            cursor.copy_expert(copy, io.BytesIO(_write_rows(replace_nul(rows))))
        self.run(sql.SQL("analyze {}").format(sql.Identifier(name)))

    def unregister(self, name: str) -> None:
        """Forgets it."""
        self.run(sql.SQL("drop table if exists pg_temp.{}").format(sql.Identifier(name)))

    def holds_warehouse(self) -> bool:
        """Whether a sync has loaded something here."""
        row = self.run("select to_regnamespace(%s)", [RAW_SCHEMA]).fetchone()
        return bool(row and row[0])

    def check_rights(self) -> None:
        """Refuses to begin what could not be brought to its end.

        Raises:
            WarehouseMisplaced: the role may not make what a sync makes; says what it lacks.
        """
        found = self.run(_RIGHTS, [list(_ALL_SCHEMAS)]).fetchall()
        if missing := ", ".join(name for name, is_given in found if not is_given):
            raise WarehouseMisplaced(
                f"The role of {SETTING} lacks rights: {missing}. GRANT CREATE, "
                "TEMPORARY ON DATABASE … TO it, and let it own what an earlier one made."
            )

    def tend_raw(self) -> None:
        """Indexes what was loaded by its keys, and lets the server see how much there is of what.

        dlt makes no index, and would read all of a table to find the rows that it replaces. Where
        a key is of one row, a second one is refused: whoever wrote it, and however.
        """
        for table in TABLES:
            row = self.run(_STATE, {"table": f"{RAW_SCHEMA}.{table.name}"}).fetchone()
            if row is None:
                continue
            name, index = sql.Identifier(RAW_SCHEMA, table.name), f"{table.name}_key"
            has_index, is_unseen = row
            if not has_index:
                kind = sql.SQL("index" if table in SNAPSHOTS else "unique index")
                keys = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
                make = sql.SQL("create {} {} on {} ({})")
                self.run(make.format(kind, sql.Identifier(index), name, keys))
            if is_unseen or not has_index:
                self.run(sql.SQL("analyze {}").format(name))

    def name_users(self, name: str) -> str:
        """Who has a relation, or one that reads it, in use; or any of a schema."""
        users = [user for (user,) in self.run(_USERS, {"name": name}).fetchall()]
        return f"it is in use by {'; '.join(users)}" if users else "it was in use"

    def measure(self) -> int:
        """The bytes that the warehouse's schemas take on the server."""
        row = self.run(_SIZE, [list(_ALL_SCHEMAS)])
        return int(row.fetchall()[0][0])

    def close(self) -> None:
        """Ends it; what is not committed is lost."""
        self.native.close()


def replace_nul(rows: Any) -> Any:
    """Puts U+FFFD in the place of U+0000, which PostgreSQL cannot hold.

    Args:
        rows: An Arrow table, or one row as a mapping; anything else is left as it is.
    """
    if isinstance(rows, dict):
        return {
            name: value.replace("\0", "\ufffd") if isinstance(value, str) else value
            for name, value in rows.items()
        }
    if not isinstance(rows, pa.Table):
        return rows
    for place, field in enumerate(rows.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = rows.column(place)
            if pc.any(pc.match_substring(column, "\0")).as_py():
                clean = pc.replace_substring(column, "\0", "\ufffd")
                rows = rows.set_column(place, field, clean)
    return rows


def _write_rows(rows: pa.Table) -> bytes:
    r"""The rows as COPY reads them: not as CSV, in which servers before 18 end at a line `\.`."""
    columns: list[Any] = []
    for column in rows.columns:
        text: Any = column.cast(pa.string())
        for char, escaped in _ESCAPES.items():
            text = pc.replace_substring(text, char, escaped)
        columns.append(pc.fill_null(text, r"\N"))
    joined: Any = pc.binary_join_element_wise(*columns, "\t")
    lines = joined.to_pylist()
    return "".join(f"{line}\n" for line in lines).encode()


def raise_refusal(error: BaseException) -> None:
    """Raises what the server refused, if that is what an error of dlt comes of.

    Raises:
        WarehouseError: it is; says what, and who is in the way.
    """
    cause: BaseException | None = error
    while cause is not None:
        refusal = getattr(cause, "dbapi_exception", cause)
        if isinstance(refusal, errors.LockNotAvailable):
            with connect(read_only=True) as connection:
                users = connection.name_users(RAW_SCHEMA)
            raise WarehouseLockedOut(
                f"{RAW_SCHEMA} must get another column, and {users}. Wait for that to end, or end "
                "it, and sync again: the rows are fetched again then."
            ) from error
        if isinstance(refusal, psycopg2.Error):
            raise describe_error(refusal) from error
        cause = cause.__cause__ or getattr(cause, "exception", None)


@lru_cache(maxsize=256)
def _translate(statement: str) -> str:
    """DuckDB's SQL as PostgreSQL's, with a mark for each parameter."""
    trees = sqlglot.parse(statement, dialect="duckdb")
    texts = []
    for tree in trees:
        if tree is None:
            continue
        for mark in list(tree.find_all(exp.Placeholder)):
            mark.replace(exp.Var(this=_MARK))
        texts.append(tree.sql(dialect="postgres"))
    return ";\n".join(texts)


def _name_type(type_: pa.DataType) -> str:
    if pa.types.is_timestamp(type_):
        return "timestamp with time zone"
    if pa.types.is_decimal(type_):
        return "numeric"
    return _TYPES[type_]
