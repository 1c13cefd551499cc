"""Builds the marts: every SQL model, in the order of what reads what, in one transaction.

m3ter_raw ─► sql/staging ─► m3ter_staging ─► sql/marts ─► m3ter
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from m3ter_sync.warehouse.location import MARTS_SCHEMA, RAW_SCHEMA
from m3ter_sync.warehouse.memory import is_out_of_memory, with_enough_memory
from m3ter_sync.warehouse.rendering import (
    comment_on,
    create_relation,
    create_schemas,
    fill_in_missing,
    quote_text,
    set_variables,
)
from m3ter_sync.warehouse.sql_files import Kind, Model, ModelError, read_models, sql_folder

__all__ = [
    "BuildResult",
    "BuiltRelation",
    "ModelError",
    "build_models",
    "check_settings",
    "published_relations",
    "quote_text",
    "read_setting",
    "setting_names",
    "sql_folder",
    "transaction",
    "unordered",
]


@dataclass(frozen=True, slots=True)
class BuiltRelation:
    """A relation that was built, and how long that took."""

    name: str
    kind: Kind
    seconds: float


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build made, in the order of the work."""

    relations: tuple[BuiltRelation, ...]
    seconds: float


@with_enough_memory
def build_models(
    connection: duckdb.DuckDBPyConnection,
    *,
    settings: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> BuildResult:
    """Builds every model anew; all of them, or none.

    Windows go by `m3ter_raw.syncs`, so the sync that loaded the rows must be written down first.

    Args:
        connection: A warehouse. What it lacks of `m3ter_raw` is taken as never loaded.
        settings: Values by name for `m3ter_staging.settings`; those not given have the defaults
            of `sql/staging/settings.sql`.
        folder: The SQL files, where they are not those of the package.

    Raises:
        ModelError: a model or a setting cannot be used; the models are as they were.
    """
    folder = folder or sql_folder()
    models = read_models(folder)
    given = check_settings(models, settings or {})
    began = time.monotonic()
    with _variables(connection, folder, given), unordered(connection), transaction(connection):
        for statement in create_schemas("duckdb"):
            connection.execute(statement)
        for path in _functions(folder):
            _run(connection, path.read_text(), path.stem)
        kinds = _read_kinds(connection)
        raw_columns = _read_raw_columns(connection)
        built = [_build(connection, model, kinds, raw_columns) for model in models]
    return BuildResult(tuple(built), time.monotonic() - began)


def published_relations(folder: Path | None = None) -> list[Model]:
    """The marts: what people read."""
    return [model for model in read_models(folder) if model.schema == MARTS_SCHEMA]


def setting_names(models: Iterable[Model]) -> list[str]:
    """The settings that change a number: the columns of `m3ter_staging.settings`."""
    return [c.name for model in models if model.name == "settings" for c in model.columns]


def read_setting(
    connection: duckdb.DuckDBPyConnection, model: Model, name: str, value: object
) -> Any:
    """What the model `settings` makes of one setting; of None, its default.

    Raises:
        ModelError: it is of the wrong type.
    """
    given = {} if value is None else {name: str(value)}
    with _variables(connection, sql_folder(), given):
        try:
            sql = f'select "{name}" from ({model.select})'  # noqa: S608 - a file of our own
            ((used,),) = _fetch(connection, sql)
        except duckdb.Error as error:
            raise ModelError(f"{name}: {str(error).strip().splitlines()[0]}") from error
    return used


@contextmanager
def unordered(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Lets rows come in any order: to keep theirs costs memory, and a third of a large build."""
    (ordered,) = _fetch(connection, "select current_setting('preserve_insertion_order')")[0]
    connection.execute("set preserve_insertion_order = false")
    try:
        yield
    finally:
        connection.execute(f"set preserve_insertion_order = {ordered}")


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the statements, or none."""
    connection.execute("begin transaction")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    else:
        connection.execute("commit")


def _build(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    kinds: Mapping[str, str],
    raw_columns: Mapping[str, set[str]],
) -> BuiltRelation:
    began = time.monotonic()
    name = model.full_name
    existing = kinds.get(name, model.kind)
    if existing != model.kind:
        connection.execute(f"drop {existing} {name}")
    select = fill_in_missing(model, raw_columns)
    for statement in create_relation(model, select, "duckdb"):
        _run(connection, statement, name)
    for statement in comment_on(model, "duckdb"):
        _run(connection, statement, name)
    return BuiltRelation(name, model.kind, time.monotonic() - began)


def check_settings(models: Iterable[Model], settings: Mapping[str, object]) -> dict[str, str]:
    """Settings of the models by name, as text; those that are None are not given.

    Raises:
        ModelError: there is no such setting.
    """
    known = setting_names(models)
    if unknown := sorted(settings.keys() - known):
        raise ModelError(
            f"Unknown setting of the models: {', '.join(unknown)}. There are: {', '.join(known)}."
        )
    return {name: str(value) for name, value in settings.items() if value is not None}


@contextmanager
def _variables(
    connection: duckdb.DuckDBPyConnection, folder: Path, settings: Mapping[str, str]
) -> Iterator[None]:
    """What the models read that is neither a table nor a constant."""
    set_variables(connection, folder, settings)
    try:
        yield
    finally:
        connection.execute("reset variable m3ter_settings")
        connection.execute("reset variable m3ter_reference_folder")


def _functions(folder: Path) -> list[Path]:
    """The functions that models share; one may use those that sort before it."""
    return sorted((folder / "functions").glob("*.sql"))


def _run(connection: duckdb.DuckDBPyConnection, statement: str, name: str) -> None:
    try:
        connection.execute(statement)
    except duckdb.Error as error:
        if is_out_of_memory(str(error)):
            raise
        raise ModelError(f"{name}: {str(error).strip().splitlines()[0]}") from error


def _read_kinds(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Which relations exist, and as what: a view cannot replace a table, nor the reverse."""
    rows = _fetch(
        connection,
        """
        select schema_name || '.' || table_name, 'table'
        from duckdb_tables() where database_name = current_database()
        union all
        select schema_name || '.' || view_name, 'view'
        from duckdb_views() where database_name = current_database()
        """,
    )
    return dict(rows)


def _read_raw_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    rows = _fetch(
        connection,
        f"""
        select table_name, list(column_name) from duckdb_columns()
        where database_name = current_database() and schema_name = '{RAW_SCHEMA}'
        group by table_name
        """,  # noqa: S608 - our own constant
    )
    return {table: set(columns) for table, columns in rows}


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()
