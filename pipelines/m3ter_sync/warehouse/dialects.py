r"""Writes one DuckDB statement for another engine.

sqlglot does most of it. What it cannot write truthfully is a macro: the functions that models share
(`sql/functions/*.sql`) are put in where they are called, and an engine that says one of them, or a
function of DuckDB's own, in another way has a file for it: `sql/functions/<dialect>/<name>.sql`,
whose expression is in that dialect. A few things are no functions and are done here: what `\b`
means, `collate`, `filter (where …)` where an engine has none.

All of it was found by running the statements and comparing values
(docs/decisions/0050-one-sql-many-engines.md).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from m3ter_sync.warehouse.sql_files import ModelError, sql_folder

DIALECTS = (
    "duckdb",
    "postgres",
    "spark",
    "databricks",
    "snowflake",
    "bigquery",
    "redshift",
    "clickhouse",
)
# Whose files an engine reads besides its own.
_RELATIVES = {"databricks": ("spark",)}
_HEADER = re.compile(
    r"create or replace macro ([\w.]+)\(([\w, ]*)\) as\n(.*?);?\s*\Z", re.DOTALL | re.MULTILINE
)
# A boundary of a word as RE2 and DuckDB know it: words are ASCII, whatever the database's locale.
_WORD = "[0-9A-Za-z_]"
_BOUNDARY = f"(?:(?<!{_WORD})(?={_WORD})|(?<={_WORD})(?!{_WORD}))"
_KNOWS_BOUNDARY = {"bigquery", "clickhouse", "snowflake"}
_FILTERS = {"postgres", "spark", "databricks", "clickhouse", "snowflake"}


def translate(sql: str, dialect: str, *, now: datetime | None = None) -> str:
    """One DuckDB statement in a dialect; for `duckdb` the text as it is.

    Args:
        sql: A model's SELECT, a check, or a question of our own.
        dialect: One of `DIALECTS`.
        now: What `getvariable('m3ter_now')` stands for, which the checks of freshness read. DuckDB
            reads the variable itself.

    Raises:
        ModelError: the text cannot be read, or not be written in that dialect.
    """
    return sql if dialect == "duckdb" else _translate(sql, dialect, now)


@cache
def _translate(sql: str, dialect: str, now: datetime | None) -> str:
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError as error:
        raise ModelError(f"Cannot read: {str(error).splitlines()[0]}") from None
    if now is not None:
        for call in list(tree.find_all(exp.Anonymous)):
            if call.name.lower() == "getvariable" and call.expressions[0].name == "m3ter_now":
                instant = now.astimezone(UTC).isoformat(sep=" ")
                call.replace(exp.cast(exp.Literal.string(instant), "timestamptz", dialect="duckdb"))
    return write(tree, dialect)


def write(tree: exp.Expr, dialect: str) -> str:
    """A statement that was parsed as DuckDB's, in a dialect; the tree is used up.

    Raises:
        ModelError: it cannot be written in that dialect.
    """
    root = exp.Paren(this=tree)
    shared, own = read_macros(dialect)
    while _expand(root, shared):
        pass
    _expand(root, own)
    for rewrite in _REWRITES:
        rewrite(root, dialect)
    try:
        written: str = root.this.sql(
            dialect, pretty=True, comments=False, unsupported_level=ErrorLevel.RAISE
        )
    except SqlglotError as error:
        raise ModelError(f"{dialect}: {error}") from None
    return written


@dataclass(frozen=True, slots=True)
class Macro:
    """A function that is put in where it is called.

    Attributes:
        call: How a call of it looks, with the parameters' names as arguments.
        parameters: These names.
        body: What stands for it.
    """

    call: exp.Expr
    parameters: frozenset[str]
    body: exp.Expr

    def match(self, node: exp.Expr) -> dict[str, exp.Expr] | None:
        """The arguments by parameter, if this is a call of it."""
        found: dict[str, exp.Expr] = {}
        return found if _match(self.call, node, self.parameters, found) else None


@cache
def read_macros(dialect: str) -> tuple[tuple[Macro, ...], tuple[Macro, ...]]:
    """The functions that models share, which may use each other, and what the engine says its way.

    What an engine says its way is put in once, and last: it may be the name of its own function.
    """
    folder = sql_folder() / "functions"
    own = {
        path.stem: _read_macro(path, dialect)
        for name in (*_RELATIVES.get(dialect, ()), dialect)
        for path in sorted((folder / name).glob("*.sql"))
    }
    shared = (path for path in sorted(folder.glob("*.sql")) if path.stem not in own)
    return tuple(_read_macro(path, "duckdb") for path in shared), tuple(own.values())


def _read_macro(path: Path, dialect: str) -> Macro:
    found = _HEADER.search(path.read_text())
    if not found:
        raise ModelError(f"{path}: must be one create or replace macro.")
    name, parameters, body = found.groups()
    return Macro(
        sqlglot.parse_one(f"{name}({parameters})", dialect="duckdb"),
        frozenset(each.strip() for each in parameters.split(",")),
        sqlglot.parse_one(body, dialect=dialect),
    )


def _match(
    pattern: object, node: object, parameters: frozenset[str], found: dict[str, exp.Expr]
) -> bool:
    if isinstance(pattern, exp.Column) and pattern.name in parameters:
        if isinstance(node, exp.Expr):
            found[pattern.name] = node
        return isinstance(node, exp.Expr)
    if isinstance(pattern, list):
        return (
            isinstance(node, list)
            and len(pattern) == len(node)
            and all(_match(*pair, parameters, found) for pair in zip(pattern, node, strict=True))
        )
    if not isinstance(pattern, exp.Expr):
        if isinstance(pattern, str) and isinstance(node, str):
            return pattern.lower() == node.lower()
        return pattern == node or (not pattern and not node)
    return type(pattern) is type(node) and all(
        _match(pattern.args.get(key), node.args.get(key), parameters, found)
        for key in pattern.args.keys() | node.args.keys()
        if key != "meta"
    )


def _expand(root: exp.Expr, macros: tuple[Macro, ...]) -> bool:
    """Puts each macro in where it is called; false when there was none."""
    calls = [
        (node, macro, found)
        for node in root.find_all(exp.Func, exp.Dot)
        for macro in macros
        if type(node) is type(macro.call) and (found := macro.match(node)) is not None
    ]
    # The innermost first: an argument may be a call.
    for node, macro, _ in reversed(calls):
        arguments = macro.match(node) or {}
        body = exp.Paren(this=macro.body.copy())
        for column in list(body.find_all(exp.Column)):
            if not column.table and column.name in arguments:
                column.replace(_enclose(arguments[column.name].copy()))
        node.replace(_enclose(body.this))
    return bool(calls)


def _enclose(node: exp.Expr) -> exp.Expr:
    is_open = isinstance(node, exp.Binary | exp.Unary | exp.Between | exp.In)
    return exp.Paren(this=node) if is_open and not isinstance(node, exp.Paren | exp.Dot) else node


def _spell_out_boundaries(root: exp.Expr, dialect: str) -> None:
    r"""`\b` is by Unicode or not known elsewhere; Java writes `$1` for `\1`."""
    for node in root.find_all(exp.RegexpReplace):
        pattern, replacement = node.expression, node.args["replacement"]
        if dialect not in _KNOWS_BOUNDARY:
            pattern.replace(exp.Literal.string(pattern.name.replace(r"\b", _BOUNDARY)))
        if dialect in ("spark", "databricks"):
            replacement.replace(exp.Literal.string(re.sub(r"\\(\d)", r"$\1", replacement.name)))
        if dialect != "postgres":
            # They replace every match anyway, and take this for a position.
            node.set("modifiers", None)


def _sort_by_bytes(root: exp.Expr, dialect: str) -> None:
    """Text of m3ter's sorts by its bytes, as everywhere else, whatever the database's locale."""
    if dialect != "postgres":
        return
    for cast in list(root.find_all(exp.Cast)):
        if cast.to.is_type(*exp.DataType.TEXT_TYPES):
            collation = exp.Identifier(this="C", quoted=True)
            cast.replace(exp.Collate(this=cast.copy(), expression=collation))


def _drop_materialized(root: exp.Expr, dialect: str) -> None:
    if dialect != "postgres":
        for cte in root.find_all(exp.CTE):
            cte.set("materialized", None)


def _replace_filters(root: exp.Expr, dialect: str) -> None:
    """`agg(x) filter (where c)` is `agg(case when c then x end)`: aggregates leave NULL out."""
    if dialect in _FILTERS:
        return
    for node in list(root.find_all(exp.Filter)):
        aggregate, condition = node.this, node.expression.this
        value = aggregate.this
        kept = exp.Literal.number(1) if isinstance(value, exp.Star) else value.copy()
        aggregate.set("this", exp.Case().when(condition.copy(), kept))
        node.replace(aggregate)


def _compare_nulls(root: exp.Expr, dialect: str) -> None:
    """Redshift has no `is distinct from`."""
    if dialect != "redshift":
        return
    for node in list(root.find_all(exp.NullSafeEQ, exp.NullSafeNEQ)):
        one, other = node.this.sql("redshift"), node.expression.sql("redshift")
        same = exp.condition(
            f"coalesce({one} = {other}, {one} is null and {other} is null)", dialect="redshift"
        )
        node.replace(same if isinstance(node, exp.NullSafeEQ) else exp.Not(this=same))


_REWRITES: tuple[Callable[[exp.Expr, str], None], ...] = (
    _spell_out_boundaries,
    _sort_by_bytes,
    _drop_materialized,
    _replace_filters,
    _compare_nulls,
)


def functions_left(sql: str, dialect: str) -> Iterator[str]:
    """Names of the functions that sqlglot does not know, in a statement of that dialect."""
    for tree in sqlglot.parse(sql, dialect=dialect, error_level=ErrorLevel.RAISE):
        if tree is not None:
            yield from (call.name.lower() for call in tree.find_all(exp.Anonymous))
