"""Reads the SQL models, checks and queries from their files.

A model is one file with one SELECT. Its name, schema, kind, comments and dependencies are all in
the file: nothing about it is written down a second time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import takewhile
from pathlib import Path
from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from m3ter_sync.warehouse.location import MARTS_SCHEMA, RAW_SCHEMA, STAGING_SCHEMA

SCHEMA_OF_FOLDER = {"staging": STAGING_SCHEMA, "marts": MARTS_SCHEMA}
_KIND_MARK = "Materialized:"

Kind = Literal["view", "table"]


class ModelError(Exception):
    """A SQL file cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Column:
    """An output column of a model, and what it says.

    Attributes:
        name: What it is called.
        comment: What it means; where its line says nothing, what it means in `passed_on_from`.
        passed_on_from: Full name of the model that it comes from just as it is, if it does.
    """

    name: str
    comment: str
    passed_on_from: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One relation that the warehouse is built of.

    Attributes:
        schema: Where it stands in the warehouse.
        name: The relation's name, which is the file's.
        kind: Whether it is computed when asked or when built.
        comment: Its grain, and who it is for.
        columns: Its output columns, in order.
        select: The file's text.
        depends_on: Full names of the models that it reads.
        raw_table: Name of the table of m3ter_raw that it reads, if any.
    """

    schema: str
    name: str
    kind: Kind
    comment: str
    columns: tuple[Column, ...]
    select: str
    depends_on: frozenset[str]
    raw_table: str | None

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"


def sql_folder() -> Path:
    """The folder of the SQL files: inside the installed package, or beside it in the repository.

    Raises:
        ModelError: neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "sql", package.parents[1] / "sql"):
        if folder.is_dir():
            return folder
    raise ModelError(f"No SQL files in {package / 'sql'}: install m3ter-sync again.")


def read_header(text: str) -> list[str]:
    """The comment lines at the head of a file, without their dashes."""
    lines = takewhile(lambda line: line.startswith("--"), text.splitlines())
    return [line.removeprefix("--").strip() for line in lines]


def parse_model(path: Path) -> Model:
    """Reads one model.

    Raises:
        ModelError: the file is not one SELECT with named columns, or reads raw tables where
            only staging may.
    """
    text = path.read_text().rstrip().rstrip(";")
    tree = parse_select(text, path)
    header = read_header(text)
    kind: Kind = "table" if f"{_KIND_MARK} table" in header else "view"
    tables = list(tree.find_all(exp.Table))
    raw_tables = sorted({table.name for table in tables if table.db == RAW_SCHEMA})
    schema = SCHEMA_OF_FOLDER[path.parent.name]
    if len(raw_tables) > 1 or (raw_tables and schema != STAGING_SCHEMA):
        raise ModelError(f"{path}: a staging model reads one table of {RAW_SCHEMA}, a mart none.")
    return Model(
        schema=schema,
        name=path.stem,
        kind=kind,
        comment=" ".join(line for line in header if not line.startswith(_KIND_MARK)),
        columns=tuple(_read_columns(tree, tables)),
        select=text,
        depends_on=frozenset(
            f"{table.db}.{table.name}" for table in tables if table.db in SCHEMA_OF_FOLDER.values()
        ),
        raw_table=raw_tables[0] if raw_tables else None,
    )


def _read_columns(tree: exp.Query, tables: Iterable[exp.Table]) -> Iterator[Column]:
    sources = {
        table.alias_or_name: f"{table.db}.{table.name}"
        for table in tables
        if table.db and table.parent_select is tree
    }
    for each in tree.selects:
        comment = " ".join(map(str.strip, each.comments or ()))
        source = sources.get(each.table) if isinstance(each, exp.Column) else None
        yield Column(each.alias_or_name, comment, source)


def parse_select(text: str, path: Path) -> exp.Query:
    """Parses one SELECT.

    Raises:
        ModelError: it is something else, or has a column without a name.
    """
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
    except ParseError as error:
        raise ModelError(f"{path}: {str(error).splitlines()[0]}") from None
    if not isinstance(tree, exp.Query):
        raise ModelError(f"{path}: must be a single SELECT.")
    if tree.is_star or not all(isinstance(each, exp.Alias | exp.Column) for each in tree.selects):
        raise ModelError(f"{path}: every output column must be named; SELECT * names none.")
    return tree


def read_models(folder: Path | None = None) -> tuple[Model, ...]:
    """All models, each after those that it reads.

    Raises:
        ModelError: a file is no model, reads one that is not there, or reads itself in a circle.
    """
    return _read_models(folder or sql_folder())


# Parsing takes half a second, and a sync needs the models three times.
@cache
def _read_models(folder: Path) -> tuple[Model, ...]:
    paths = [path for name in SCHEMA_OF_FOLDER for path in sorted((folder / name).glob("*.sql"))]
    models: dict[str, Model] = {}
    for model in order_models(map(parse_model, paths)):
        models[model.full_name] = _explain(model, models)
    return tuple(models.values())


def _explain(model: Model, models: Mapping[str, Model]) -> Model:
    """Gives each column that is passed on without a word the words of where it comes from."""
    said = {(name, c.name): c.comment for name in model.depends_on for c in models[name].columns}
    columns = (
        replace(c, comment=c.comment or said.get((c.passed_on_from or "", c.name), ""))
        for c in model.columns
    )
    return replace(model, columns=tuple(columns))


def order_models(models: Iterable[Model]) -> Iterator[Model]:
    """Puts each model after those that it reads."""
    by_name = {model.full_name: model for model in models}
    for model in by_name.values():
        if missing := model.depends_on - by_name.keys():
            raise ModelError(
                f"{model.full_name} reads {', '.join(sorted(missing))}: no such model."
            )
    graph = {model.full_name: sorted(model.depends_on) for model in by_name.values()}
    try:
        for name in TopologicalSorter(graph).static_order():
            yield by_name[name]
    except CycleError as error:
        raise ModelError(
            f"Models read each other in a circle: {', '.join(error.args[1])}."
        ) from None
