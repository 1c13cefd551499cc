"""Reads much from a PostgreSQL database: relations to publish, and what people ask."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_postgresql import dbapi
from sqlglot import exp

from m3ter_sync.redaction import redact
from m3ter_sync.warehouse.location import WarehouseError
from m3ter_sync.warehouse.postgres import open_existing, read_credentials
from m3ter_sync.warehouse.postgres_errors import first_line

_COMMENTS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*", re.DOTALL)
# Connections, resources, whoever intervened, the machine, the server itself; locks and conflicts.
_OF_SERVER = ("08", "40", "53", "55", "57", "58", "XX")
_ASKING = {"select", "with", "values", "table"}
_TELLING = {"explain", "show"}


class QuestionRefused(Exception):
    """The server does not take a question as one; the message says why."""


class PostgresReader:
    """Reads relations as Arrow batches, all as they were at one instant; writes nothing."""

    def __init__(self, native: dbapi.Connection) -> None:
        self._native = native

    @contextmanager
    def read(self, relation: str, types: Mapping[str, str]) -> Iterator[pa.RecordBatchReader]:
        """The rows of a relation.

        Args:
            relation: Its name.
            types: Its columns, with the types that DuckDB has them in. What Arrow has no type for
                comes as text, which DuckDB reads.

        Raises:
            WarehouseError: the server refuses.
        """
        columns = ", ".join(_cast(name, type_) for name, type_ in types.items())
        with _telling(WarehouseError), self._native.cursor() as cursor:
            # The names are of our own models.
            cursor.execute(f"select {columns} from {relation}")  # noqa: S608 - our own names
            yield cursor.fetch_record_batch()

    @contextmanager
    def ask(self, question: str) -> Iterator[pa.RecordBatchReader]:
        """The rows that answer a question in PostgreSQL's SQL.

        The server prepares it before it runs, so it is one statement. The transaction writes
        nothing, and what it does not keep from writing (COPY to a file) is refused by its name.

        Raises:
            QuestionRefused: it is no question, not one, or cannot be answered.
        """
        # A comment at the end would hide what is written after it.
        text = f"{question.strip().rstrip(';')}\n"
        word = text[_COMMENTS.match(text).end() :].split(maxsplit=1)[:1]  # type: ignore[union-attr]
        verb = re.match(r"\w*", word[0]).group().lower() if word else ""  # type: ignore[union-attr]
        if verb not in _ASKING | _TELLING:
            raise QuestionRefused(
                "A query only asks: SELECT, WITH, VALUES, TABLE, EXPLAIN or SHOW, not "
                f"{verb.upper() or 'that'}."
            )
        with _telling(QuestionRefused), self._native.cursor() as cursor:
            if verb in _TELLING:
                # They cannot be copied from.
                cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(text)
            yield cursor.fetch_record_batch()


@contextmanager
def open_reader() -> Iterator[PostgresReader]:
    """Opens a database in which there is a warehouse.

    Raises:
        WarehouseMisplaced: it is not configured, the server lets us not in, or there is none.
        WarehouseError: the server does not answer.
    """
    open_existing().close()
    address = read_credentials(read_only=True).to_native_representation()
    with _telling(WarehouseError), dbapi.connect(address) as native:
        with native.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            # The first query fixes both. Nothing is ever committed.
            cursor.execute("select 1")
            cursor.fetchall()
        yield PostgresReader(native)


@contextmanager
def _telling(kind: type[Exception]) -> Iterator[None]:
    """Says in one line what the server refused.

    Raises:
        WarehouseError: it was not for what it was asked.
        KeyboardInterrupt: a statement was ended by Ctrl-C.
    """
    try:
        yield
    except (Error, pa.ArrowException, OSError) as error:
        # Of what is read from the server Arrow tells; of what is written elsewhere, too.
        if not isinstance(error, Error) and "[libpq]" not in str(error):
            raise
        if "user request" in str(error):
            raise KeyboardInterrupt from None
        if _is_of_server(error):
            kind = WarehouseError
        raise kind(f"PostgreSQL refuses: {_describe(error)}.") from error


def to_python(column: "pa.Array[Any]") -> list[Any]:
    """The values of a column, as DuckDB gives them."""
    if not isinstance(column, pa.ExtensionArray):
        return column.to_pylist()
    values = column.storage.to_pylist()
    if is_numeric(column.type):
        return [None if value is None else Decimal(value) for value in values]
    return list(values)


def is_numeric(type_: pa.DataType) -> bool:
    """Whether it is PostgreSQL's numeric, for which Arrow has no type: it comes as text."""
    return isinstance(type_, pa.OpaqueType) and type_.type_name == "numeric"


def _is_of_server(error: Exception) -> bool:
    """Whether another answer may come of the same question, once the server is well."""
    if state := getattr(error, "sqlstate", None):
        return str(state).startswith(_OF_SERVER)
    # What comes after the first rows has lost its code.
    return "[libpq]" in str(error) and ("ERROR:" not in str(error) or "canceling" in str(error))


def _describe(error: Exception) -> str:
    """What the server said, without the driver's words around it."""
    said = re.sub(r"\s+", " ", str(error).partition("Query was:")[0])
    said = re.split(r"\bLINE \d+:| ?\. SQLSTATE:", said)[0].strip()
    return redact(first_line(Exception(re.split(r"\b(?:ERROR|FATAL): ", said)[-1].strip() or said)))


def _cast(name: str, type_: str) -> str:
    quoted = f'"{name}"'
    if type_.startswith(("DECIMAL", "HUGEINT")):
        return f"cast({quoted} as text) as {quoted}"
    return f"cast({quoted} as {exp.DataType.build(type_, 'duckdb').sql('postgres')}) as {quoted}"
