"""Builds the models in a PostgreSQL database."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3ter_sync.warehouse.location import MARTS_SCHEMA, RAW_SCHEMA, STAGING_SCHEMA
from m3ter_sync.warehouse.models import BuildResult, BuiltRelation, check_settings
from m3ter_sync.warehouse.rendering import (
    comment_on,
    create_relation,
    create_schemas,
    render_model,
)
from m3ter_sync.warehouse.sql_files import Model, ModelError, read_models

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

_LOG = logging.getLogger(__name__)
_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view"}
_COLUMNS = """
select attname, format_type(atttypid, atttypmod), attcollation
from pg_attribute
where attrelid = %s::regclass and attnum > 0 and not attisdropped
order by attnum
"""
_RAW_COLUMNS = """
select relname, array_agg(attname::text)
from pg_attribute inner join pg_class on attrelid = pg_class.oid
where
    relnamespace = to_regnamespace(%s) and relkind in ('r', 'p', 'v', 'm')
    and attnum > 0 and not attisdropped
group by relname
"""
# Views upon a relation, and upon these; ours are made anew.
_FOREIGN_VIEWS = """
with recursive dependents (oid) as (
    select %s::regclass::oid
    union
    select pg_rewrite.ev_class
    from dependents
    inner join pg_depend
        on pg_depend.refobjid = dependents.oid and pg_depend.classid = 'pg_rewrite'::regclass
    inner join pg_rewrite on pg_depend.objid = pg_rewrite.oid
)

select dependents.oid::regclass::text
from dependents
inner join pg_class on dependents.oid = pg_class.oid
inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
where pg_namespace.nspname not in (%s, %s)
"""
_NEW = "m3ter_new_relation"


def build_models_on_postgres(
    connection: "Connection",
    *,
    settings: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> BuildResult:
    """Builds every model anew in one transaction; all of them, or none.

    PostgreSQL can replace no table, and no view under which one goes away. So what keeps its
    columns is not made anew: a table's rows are deleted and inserted, a view stays as it is.
    Whoever reads meanwhile waits for nothing and sees the old rows until the end; grants, and
    other people's views on the marts, stay. A relation whose columns change (a new version of
    m3ter-sync) is dropped with what depends on it, ours to be made again; views of others that go
    with it are named in a warning.

    Args:
        connection: A database with `m3ter_raw`, outside a transaction. What it lacks of it is
            taken as never loaded.
        settings: Values by name, as for `build_models`.
        folder: The SQL files, where they are not those of the package.

    Raises:
        ModelError: a model or a setting cannot be used; the models are as they were.
    """
    models = read_models(folder)
    given = check_settings(models, settings or {})
    began = time.monotonic()
    with connection, connection.cursor() as cursor:
        for statement in create_schemas("postgres"):
            cursor.execute(statement)
        cursor.execute(_RAW_COLUMNS, [RAW_SCHEMA])
        raw_columns = {table: set(columns) for table, columns in cursor.fetchall()}
        built = []
        for model in models:
            started = time.monotonic()
            select = render_model(
                model, "postgres", raw_columns=raw_columns, settings=given, folder=folder
            )
            with _named(model):
                _build(cursor, model, select)
            built.append(BuiltRelation(model.full_name, model.kind, time.monotonic() - started))
    return BuildResult(tuple(built), time.monotonic() - began)


def _build(cursor: "Cursor", model: Model, select: str) -> None:
    name = model.full_name
    cursor.execute(f"create temp view {_NEW} as\n{select}")
    kind = _read_kind(cursor, name)
    present, new = (_read_columns(cursor, each) if kind else [] for each in (name, _NEW))
    is_kept = kind == model.kind and present == new
    if kind == model.kind == "view" and present == new[: len(present)]:
        if _read_text(cursor, name) != _read_text(cursor, _NEW):
            cursor.execute(f"create or replace view {name} as\n{select}")
    elif is_kept:
        cursor.execute(f"delete from {name}")  # noqa: S608 - a name of our own
        cursor.execute(f"insert into {name}\n{select}")
    else:
        if kind:
            _warn_of_views(cursor, name)
            cursor.execute(f"drop {kind} {name} cascade")
        for statement in create_relation(model, select, "postgres"):
            cursor.execute(statement)
    cursor.execute(f"drop view {_NEW}")
    if model.kind == "table":
        # What reads it next is planned by this: without, as if it were empty.
        cursor.execute(f"analyze {name}")
    for statement in comment_on(model, "postgres"):
        cursor.execute(statement)


def _read_kind(cursor: "Cursor", name: str) -> str | None:
    cursor.execute("select relkind from pg_class where oid = to_regclass(%s)", [name])
    found = cursor.fetchone()
    return _KINDS[found[0]] if found else None


def _read_columns(cursor: "Cursor", name: str) -> list[tuple[Any, ...]]:
    cursor.execute(_COLUMNS, [name])
    return cursor.fetchall()


def _read_text(cursor: "Cursor", view: str) -> str:
    cursor.execute("select pg_get_viewdef(%s::regclass)", [view])
    ((text,),) = cursor.fetchall()
    return str(text)


def _warn_of_views(cursor: "Cursor", name: str) -> None:
    cursor.execute(_FOREIGN_VIEWS, [name, STAGING_SCHEMA, MARTS_SCHEMA])
    if views := [view for (view,) in cursor.fetchall()]:
        _LOG.warning(
            "The columns of %s changed: it is made anew, and these views on it are dropped: %s",
            name,
            ", ".join(sorted(views)),
        )


@contextmanager
def _named(model: Model) -> Iterator[None]:
    import psycopg2

    try:
        yield
    except (psycopg2.ProgrammingError, psycopg2.DataError, psycopg2.NotSupportedError) as error:
        message = str(error).splitlines()[0]
        raise ModelError(f"{model.full_name}: {message}") from error
