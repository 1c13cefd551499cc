"""The statements that build the models on an engine, from the one DuckDB source.

A runner for an engine executes them; `m3ter-sync models --dry-run` prints them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from m3ter_sync.warehouse.dialects import translate, write
from m3ter_sync.warehouse.location import MARTS_SCHEMA, RAW_SCHEMA, STAGING_SCHEMA
from m3ter_sync.warehouse.sql_files import Model, ModelError, parse_select, sql_folder

# A chain of retries may be longer than the hundred levels that Spark goes down by itself, and all
# of them together may have more than a million rows.
FIRST = {
    "spark": (
        "set spark.sql.cteRecursionLevelLimit = -1",
        "set spark.sql.cteRecursionRowLimit = -1",
    ),
    "postgres": ("begin",),
    "redshift": ("begin",),
}
LAST = {"postgres": ("commit",), "redshift": ("commit",)}
SCHEMAS = (RAW_SCHEMA, STAGING_SCHEMA, MARTS_SCHEMA)


def render_model(
    model: Model,
    dialect: str,
    *,
    raw_columns: Mapping[str, Collection[str]],
    settings: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> str:
    """The SELECT of a model for an engine.

    A model that reads neither a table nor a model (the settings, the meaning of each status, which
    tables were loaded) is computed here, by DuckDB, and stands in other engines' SQL as its rows.

    Args:
        model: One of `read_models`.
        dialect: One of `dialects.DIALECTS`.
        raw_columns: Columns by table of what m3ter_raw has. What it lacks is NULL.
        settings: Values by name, as for `build_models`.
        folder: The SQL files, where they are not those of the package.

    Raises:
        ModelError: it cannot be written in that dialect, or a setting is of the wrong type.
    """
    if dialect != "duckdb" and reads_nothing(model):
        return render_rows(
            model, dialect, raw_columns=raw_columns, settings=settings, folder=folder
        )
    return translate(fill_in_missing(model, raw_columns), dialect)


def reads_nothing(model: Model) -> bool:
    """Whether a model is the same whatever the rows are."""
    return model.raw_table is None and not model.depends_on


def fill_in_missing(model: Model, raw_columns: Mapping[str, Collection[str]]) -> str:
    """The model's SELECT, with NULL for each raw column that the warehouse does not have.

    So an older warehouse, or one into which only some tables were loaded, has every mart. The
    types are those of the casts in the staging models.
    """
    if model.raw_table is None:
        return model.select
    present = raw_columns.get(model.raw_table)
    tree = parse_select(model.select, Path(model.name))
    (table,) = (each for each in tree.find_all(exp.Table) if each.db == RAW_SCHEMA)
    alias = table.alias_or_name
    missing = [
        column
        for column in tree.find_all(exp.Column)
        if column.table == alias and column.name not in (present or ())
    ]
    if not missing:
        return model.select
    for column in missing:
        column.replace(exp.Null())
    if present is None:
        table.replace(exp.select("1 as nothing").where("false").subquery(alias))
    return tree.sql(dialect="duckdb")


def list_raw_columns(models: Iterable[Model]) -> dict[str, set[str]]:
    """All columns of m3ter_raw that the models read, by table: what a complete warehouse has."""
    columns: dict[str, set[str]] = {}
    for model in models:
        if model.raw_table is None:
            continue
        tree = parse_select(model.select, Path(model.name))
        (table,) = (each for each in tree.find_all(exp.Table) if each.db == RAW_SCHEMA)
        columns.setdefault(model.raw_table, set()).update(
            column.name
            for column in tree.find_all(exp.Column)
            if column.table == table.alias_or_name
        )
    return columns


def set_variables(
    connection: duckdb.DuckDBPyConnection, folder: Path, settings: Mapping[str, object]
) -> None:
    """Gives the models what they read that is neither a table nor a constant.

    Args:
        connection: Where the models are about to be computed.
        folder: The SQL files.
        settings: Values by name; None is not given.
    """
    given = {name: str(value) for name, value in settings.items() if value is not None}
    names, values = (
        "[" + ", ".join(map(quote_text, texts)) + "]::varchar[]"
        for texts in (given.keys(), given.values())
    )
    connection.execute(f"set variable m3ter_settings = map({names}, {values})")
    reference = quote_text(str(folder / "reference"))
    connection.execute(f"set variable m3ter_reference_folder = {reference}")


def quote_text(text: str) -> str:
    """A SQL literal; DuckDB takes no parameters in a statement that makes or comments."""
    return "'" + text.replace("'", "''") + "'"


def render_rows(
    model: Model,
    dialect: str,
    *,
    raw_columns: Iterable[str],
    settings: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> str:
    """The rows of a model that reads nothing, as a SELECT; for the arguments see `render_model`.

    Raises:
        ModelError: a setting is of the wrong type.
    """
    with duckdb.connect() as connection:
        connection.execute(f"create schema {RAW_SCHEMA}")
        for table in raw_columns:
            connection.execute(f'create table {RAW_SCHEMA}."{table}" (nothing integer)')
        set_variables(connection, folder or sql_folder(), settings or {})
        try:
            found = connection.execute(model.select)
        except duckdb.Error as error:
            raise ModelError(f"{model.full_name}: {str(error).splitlines()[0]}") from error
        types = [str(column[1]) for column in found.description or ()]
        rows = found.fetchall()
    selects = [
        exp.select(
            *(
                exp.alias_(exp.cast(_literal(value), type_, dialect="duckdb"), column.name)
                for value, type_, column in zip(row, types, model.columns, strict=True)
            )
        )
        for row in rows
    ]
    return write(selects[0] if len(selects) == 1 else exp.union(*selects, distinct=False), dialect)


def _literal(value: Any) -> exp.Expr:
    if isinstance(value, list):
        return exp.Array(expressions=[exp.convert(each) for each in value])
    return exp.convert(value)


def create_schemas(dialect: str) -> Iterator[str]:
    """Makes the schemas where they are missing."""
    word = "database" if dialect == "clickhouse" else "schema"
    return (f"create {word} if not exists {schema}" for schema in SCHEMAS)


def create_relation(model: Model, select: str, dialect: str) -> Iterator[str]:
    """Makes a relation, in the place of one that is there.

    PostgreSQL replaces no table: see `postgres_models`. Spark's own tables cannot be replaced
    either, Databricks' can.
    """
    name, kind = model.full_name, model.kind
    if dialect == "postgres":
        yield f"create {kind} {name} as\n{select}"
    elif dialect == "redshift" and kind == "table":
        yield f"drop table if exists {name} cascade"
        yield f"create table {name} as\n{select}"
    elif dialect == "redshift":
        yield f"create or replace view {name} as\n{select}"
    elif dialect == "spark" and kind == "table":
        yield f"drop table if exists {name}"
        yield f"create table {name} using parquet as\n{select}"
    elif dialect in ("spark", "databricks") and kind == "view":
        columns = ",\n".join(
            f"    {column.name} comment {_quote(column.comment, dialect)}"
            for column in model.columns
        )
        comment = _quote(model.comment, dialect)
        yield f"create or replace view {name} (\n{columns}\n) comment {comment} as\n{select}"
    elif dialect == "clickhouse" and kind == "table":
        yield f"create or replace table {name} engine = MergeTree order by tuple() as\n{select}"
    else:
        yield f"create or replace {kind} {name} as\n{select}"


def comment_on(model: Model, dialect: str) -> Iterator[str]:
    """Writes what a relation and its columns mean into the catalog, where it has a place for it."""
    name, kind = model.full_name, model.kind
    said = {column.name: _quote(column.comment, dialect) for column in model.columns}
    comment = _quote(model.comment, dialect)
    if dialect in ("spark", "databricks"):
        # A view is made with its comments.
        if kind == "table":
            yield f"comment on table {name} is {comment}"
            for column, text in said.items():
                yield f"alter table {name} alter column {column} comment {text}"
    elif dialect == "bigquery":
        yield f"alter {kind} {name} set options (description = {comment})"
        for column, text in said.items():
            yield f"alter {kind} {name} alter column {column} set options (description = {text})"
    elif dialect == "clickhouse":
        yield f"alter table {name} modify comment {comment}"
        if kind == "table":
            for column, text in said.items():
                yield f"alter table {name} comment column {column} {text}"
    else:
        yield f"comment on {kind} {name} is {comment}"
        for column, text in said.items():
            yield f"comment on column {name}.{column} is {text}"


def _quote(text: str, dialect: str) -> str:
    return exp.Literal.string(text).sql(dialect=dialect)


def render_script(
    models: Iterable[Model],
    dialect: str,
    *,
    raw_columns: Mapping[str, Collection[str]],
    settings: Mapping[str, object] | None = None,
) -> Iterator[str]:
    """Every statement of a build, in order, without the semicolons.

    Raises:
        ModelError: see `render_model`.
    """
    yield from FIRST.get(dialect, ())
    yield from create_schemas(dialect)
    if dialect == "duckdb":
        folder = sql_folder() / "functions"
        yield from (path.read_text().strip().rstrip(";") for path in sorted(folder.glob("*.sql")))
    for model in models:
        # DuckDB too: whoever runs the script has neither our variables nor our files.
        render = render_rows if reads_nothing(model) else render_model
        select = render(model, dialect, raw_columns=raw_columns, settings=settings)
        if dialect == "postgres":
            yield f"drop {model.kind} if exists {model.full_name} cascade"
        yield from create_relation(model, select, dialect)
        yield from comment_on(model, dialect)
    yield from LAST.get(dialect, ())
