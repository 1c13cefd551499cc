"""Builds the models in a PostgreSQL database: all of them, or none, and nobody who reads waits.

Whoever has read a relation in a transaction that is still open keeps others from replacing it. So
what is there stays: of a table only the rows that differ are written, and a view is left alone
where it says the same already. The views, grants and comments that others put there stay with it.
Only other columns, as a new version of m3ter-sync may bring, take the relation for themselves.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

from m3ter_sync.warehouse.location import (
    MARTS_SCHEMA,
    RAW_SCHEMA,
    STAGING_SCHEMA,
    WarehouseIncomplete,
    WarehouseLockedOut,
)
from m3ter_sync.warehouse.models import BuildResult, BuiltRelation, check_settings
from m3ter_sync.warehouse.postgres import PostgresConnection
from m3ter_sync.warehouse.rendering import render_model
from m3ter_sync.warehouse.sql_files import Model, ModelError, read_models

# What a model is before it takes its place.
_NEW = "m3ter_sync_new"
_DIFFERENCE = "m3ter_sync_difference"
_SCHEMAS = (RAW_SCHEMA, STAGING_SCHEMA, MARTS_SCHEMA)


@dataclass(frozen=True, slots=True)
class _Relation:
    """A relation as the catalog has it; two that look alike can stand for each other."""

    kind: str
    columns: tuple[tuple[str, str], ...]
    definition: str | None


def build_models_on_postgres(
    native: "psycopg2.extensions.connection",
    *,
    settings: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> BuildResult:
    """Builds every model in one transaction; all of them, or none.

    Args:
        native: A database with `m3ter_raw`, outside a transaction. What it lacks of it is taken
            as never loaded.
        settings: Values by name, as for `build_models`.
        folder: The SQL files, where they are not those of the package.

    Raises:
        ModelError: a model or a setting cannot be used, or somebody else's view reads what has
            got other columns; the models are as they were.
        WarehouseError: the server refuses; the models are as they were.
    """
    connection = PostgresConnection(native)
    models = read_models(folder)
    given = check_settings(models, settings or {})
    began = time.monotonic()
    built = []
    at = RAW_SCHEMA
    work = _Build(connection, models)
    try:
        with connection.transaction():
            raw_columns = work.prepare()
            for model in models:
                started, at = time.monotonic(), model.full_name
                select = render_model(
                    model, "postgres", raw_columns=raw_columns, settings=given, folder=folder
                )
                work.build(model, select)
                built.append(BuiltRelation(at, model.kind, time.monotonic() - started))
    except WarehouseLockedOut as error:
        raise WarehouseLockedOut(
            f"{at} must change, and {connection.name_users(at)}. Wait for that to end, or end "
            "it, and run m3ter-sync models."
        ) from error
    return BuildResult(tuple(built), time.monotonic() - began)


class _Build:
    """One build of all models."""

    def __init__(self, connection: PostgresConnection, models: Sequence[Model]) -> None:
        self._connection, self._run = connection, connection.run
        self._ours = {model.full_name for model in models}
        # What gives back the rights to a relation that was dropped, by name.
        self._grants: dict[str, list[str]] = {}

    def prepare(self) -> dict[str, set[str]]:
        """Makes the schemas, and tends what was loaded; its columns by table."""
        for schema in _SCHEMAS:
            # To make one that is there takes the right to make one.
            if not self._ask("select to_regnamespace(%s)", schema):
                self._run(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        self._connection.tend_raw()
        columns: dict[str, set[str]] = {}
        for table, column in self._run(_RAW_COLUMNS, [RAW_SCHEMA]).fetchall():
            columns.setdefault(table, set()).add(column)
        return columns

    def build(self, model: Model, select: str) -> None:
        """Brings one relation to what its model says now."""
        name = sql.Identifier(model.schema, model.name)
        kind, query = sql.SQL(model.kind), sql.SQL(select)
        temporary = sql.Identifier(_NEW)
        self._define(model, sql.SQL("create temp {} {} as {}").format(kind, temporary, query))
        new, old = self._read(f"pg_temp.{_NEW}"), self._read(model.full_name)
        if new and old and (old.kind, old.columns) != (new.kind, new.columns):
            self._drop(model.full_name)
            old = None
        if model.kind == "table":
            if old is None:
                self._run(sql.SQL("create table {} as table {}").format(name, temporary))
            if old is None or self._replace_rows(name, [column for column, _ in old.columns]):
                self._run(sql.SQL("analyze {}").format(name))
        elif old is None or old != new:
            self._define(model, sql.SQL("create or replace view {} as {}").format(name, query))
        self._run(sql.SQL("drop {} {}").format(kind, temporary))
        for grant in self._grants.pop(model.full_name, ()):
            self._run(grant)
        self._comment(model)

    def _define(self, model: Model, statement: sql.Composed) -> None:
        try:
            self._run(statement)
        except WarehouseIncomplete as error:
            raise ModelError(f"{model.full_name}: {error}") from error

    def _ask(self, question: str, value: str) -> object:
        row = self._run(question, [value]).fetchone()
        return row and row[0]

    def _read(self, name: str) -> _Relation | None:
        """A relation as it is; None: there is none of that name."""
        found = self._run(_RELATION, [name]).fetchone()
        if found is None:
            return None
        kind, definition = found
        return _Relation(kind, tuple(self._run(_COLUMNS, [name]).fetchall()), definition)

    def _replace_rows(self, name: sql.Identifier, columns: Sequence[str]) -> bool:
        """Makes a table's rows those of the new one; whether any differed."""

        def content(of: str) -> sql.Composed:
            # As records NULLs are equal, and there is a hash, which finds what to compare.
            listed = sql.SQL(", ").join(sql.Identifier(of, column) for column in columns)
            return sql.SQL("row({})::record").format(listed)

        old, new = content("old"), content("new")
        parts = {
            "target": name,
            "new": sql.Identifier(_NEW),
            "new_content": new,
            "difference": sql.Identifier(_DIFFERENCE),
            "old_content": old,
        }
        if not self._run(sql.SQL(_TWICE).format(**parts)).fetchone():
            found = self._run(sql.SQL(_FIND_DIFFERENCE).format(**parts)).row_count
            if found:
                self._run(sql.SQL(_DELETE_GONE).format(**parts))
                self._run(sql.SQL(_ADD_MISSING).format(**parts))
            self._run(sql.SQL("drop table {difference}").format(**parts))
            row = self._run(sql.SQL(_AS_MANY).format(**parts)).fetchone()
            if row and row[0]:
                return found > 0
        # Of two rows that are the same, one cannot be told from the other.
        self._run(sql.SQL("delete from {target}").format(**parts))
        self._run(sql.SQL("insert into {target} table {new}").format(**parts))
        return True

    def _drop(self, name: str) -> None:
        """Drops a relation and those of ours that read it: they are built after it.

        Raises:
            ModelError: somebody else's view reads one of them.
        """
        readers = [reader for (reader,) in self._run(_READERS, [name]).fetchall()]
        if others := sorted(set(readers) - self._ours):
            raise ModelError(
                f"{name} has got other columns, and {', '.join(others)} reads it: drop that, run "
                "m3ter-sync models, and make it again."
            )
        for each in (*readers, name):
            relation = self._read(each)
            if relation is None:
                continue
            grants = self._run(_GRANTS, [each]).fetchall()
            self._grants[each] = [grant for (grant,) in grants]
            kind, place = sql.SQL(relation.kind), sql.Identifier(*each.split("."))
            self._run(sql.SQL("drop {} {}").format(kind, place))

    def _comment(self, model: Model) -> None:
        """Writes what a relation and its columns mean into the catalog, where it does not stand."""
        name = sql.Identifier(model.schema, model.name)
        said = dict(self._run(_COMMENTS, [model.full_name]).fetchall())
        if said.get("") != model.comment:
            statement = sql.SQL("comment on {} {} is {}")
            kind, comment = sql.SQL(model.kind), sql.Literal(model.comment)
            self._run(statement.format(kind, name, comment))
        for column in model.columns:
            if said.get(column.name) != column.comment:
                statement = sql.SQL("comment on column {} is {}")
                place = sql.Identifier(model.schema, model.name, column.name)
                self._run(statement.format(place, sql.Literal(column.comment)))


_RAW_COLUMNS = """
select table_name, column_name from information_schema.columns
where table_catalog = current_database() and table_schema = %s
"""
_RELATION = """
select case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
    case when relkind = 'v' then pg_get_viewdef(oid) end
from pg_class where oid = to_regclass(%s)
"""
_COLUMNS = """
select attname::text, concat_ws(' ', format_type(atttypid, atttypmod), nullif(attcollation, 0))
from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
order by attnum
"""
_COMMENTS = """
select coalesce(columns.attname::text, ''), said.description
from pg_description as said
left join pg_attribute as columns
    on said.objoid = columns.attrelid and said.objsubid = columns.attnum and columns.attnum > 0
where said.classoid = 'pg_class'::regclass and said.objoid = to_regclass(%s)
"""
_READERS = """
with recursive readers (relation, depth) as (
    select to_regclass(%s)::oid, 0
    union
    select rules.ev_class, readers.depth + 1
    from readers
    inner join pg_depend as links
        on links.refclassid = 'pg_class'::regclass and links.refobjid = readers.relation
    inner join pg_rewrite as rules
        on links.classid = 'pg_rewrite'::regclass and links.objid = rules.oid
    where rules.ev_class != readers.relation
)
select schemas.nspname || '.' || relations.relname
from readers
inner join pg_class as relations on readers.relation = relations.oid
inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
where readers.depth > 0 and schemas.nspname not like 'pg\\_temp%%'
group by schemas.nspname, relations.relname
order by max(readers.depth) desc
"""
_GRANTS = """
select format(
    'grant %%s on %%s to %%s%%s', string_agg(rights.privilege_type, ', '), relations.oid::regclass,
    case when rights.grantee = 0 then 'public' else rights.grantee::regrole::text end,
    case when rights.is_grantable then ' with grant option' else '' end
)
from pg_class as relations, aclexplode(relations.relacl) as rights
where relations.oid = to_regclass(%s) and rights.grantee != relations.relowner
group by relations.oid, rights.grantee, rights.is_grantable
"""
# Two rows of one hash are written, as if they were the same row twice: that costs time alone.
_TWICE = """
select 1 from {new} as new
group by hash_record_extended({new_content}, 0) having count(*) > 1 limit 1
"""
_FIND_DIFFERENCE = """
create temp table {difference} as
select old.ctid as gone, new.ctid as added
from {target} as old
full join {new} as new
    on hash_record_extended({new_content}, 0) = hash_record_extended({old_content}, 0)
    and {new_content} = {old_content}
where old.ctid is null or new.ctid is null
"""
_DELETE_GONE = "delete from {target} as old using {difference} as d where old.ctid = d.gone"
_ADD_MISSING = """
insert into {target}
select new.* from {new} as new inner join {difference} as d on new.ctid = d.added
"""
_AS_MANY = "select (select count(*) from {target}) = (select count(*) from {new})"
