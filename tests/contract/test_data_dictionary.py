"""docs/data-dictionary.md says what stands in the database; `make docs` writes it anew."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from m3ter_sync.source.tables import TABLES
from m3ter_sync.warehouse.models import build_models
from m3ter_sync.warehouse.sql_files import Model, read_models

DICTIONARY = Path(__file__).resolve().parents[2] / "docs" / "data-dictionary.md"
PUBLIC_STAGING = ("m3ter_staging.settings", "m3ter_staging.status_class")
# A row or a handful, read by nearly everything: arrows from them would hide all others.
NOT_DRAWN = {
    f"m3ter_staging.{name}"
    for name in ("as_of", "windows", "loaded", "loaded_tables", "settings", "status_class")
}
HEAD = """\
# Data dictionary

What stands in the database, in the words of its own comments: `make docs` writes this file from a
warehouse that it builds. `m3ter` holds the marts, which people read; `m3ter_staging` the rows
renamed, typed and classed once; `m3ter_raw` the rows as m3ter serves them. In the published copy
(`published/m3ter.duckdb`, `published/*.parquet`) stand the marts, `settings` and `status_class`.

Times are instants, days are UTC days. Rates go from 0 to 1, and are NULL where there is nothing to
divide by.
"""
LINEAGE = """\
## What is made of what

Direct dependencies, as the SQL has them. Not drawn are the small relations that many read: the
settings, the classes of statuses, the windows, `as_of`, and what was loaded at all. Each relation
below names all that it reads.
"""
RAW = """\
## m3ter_raw: the rows as m3ter serves them

Beside these columns stand dlt's own: `_dlt_load_id`, the load that brought the row as it is, and in
the tables with a history `_dlt_valid_from` and `_dlt_valid_to` (NULL: in force). A field that is
not listed here is loaded as text, but not into `integration_configurations`. `m3ter_raw.syncs` is
the log of syncs; `m3ter.load_history` explains its columns.
"""


class Described(NamedTuple):
    """A relation with its comment, and its columns with name, type and comment."""

    name: str
    comment: str
    columns: list[tuple[str, str, str]]

    @property
    def anchor(self) -> str:
        return self.name.replace(".", "")


def read_comments() -> dict[str, Described]:
    """What an empty warehouse says of itself after a build."""
    with duckdb.connect() as connection:
        build_models(connection)
        relations = connection.execute(
            "select schema_name || '.' || table_name as name, comment from duckdb_tables()"
            " union all select schema_name || '.' || view_name, comment from duckdb_views()"
            " where not internal order by name"
        ).fetchall()
        columns = connection.execute(
            "select schema_name || '.' || table_name, column_name, data_type, comment"
            " from duckdb_columns() where not internal order by column_index"
        ).fetchall()
    return {
        name: Described(name, comment, [tuple(row) for of, *row in columns if of == name])
        for name, comment in relations
    }


def describe_raw() -> Iterator[Described]:
    """The tables of the source, with the types that DuckDB gives their columns."""
    with duckdb.connect() as connection:
        for table in TABLES:
            empty: pa.Table = table.arrow_schema.empty_table()
            types = dict(
                row[:2] for row in connection.from_arrow(empty).query("t", "describe t").fetchall()
            )
            yield Described(
                f"m3ter_raw.{table.name}",
                table.description,
                [(each.name, types[each.name], each.description) for each in table.columns],
            )


def render_contents(relations: Iterable[Described]) -> str:
    rows = ["| relation | one row per |", "|---|---|"]
    for each in relations:
        grain = re.split(r"\.? For: |\. ", each.comment.removeprefix("Grain: "))[0]
        rows.append(f"| [`{each.name}`](#{each.anchor}) | {grain.removeprefix('one row per ')} |")
    return "\n".join(rows) + "\n"


def render_relation(relation: Described, model: Model | None) -> str:
    comment = escape(relation.comment).replace(" For: ", "\n\nFor: ")
    rows = [f"### {relation.name}\n", f"{comment}\n"]
    if model:
        reads = ", ".join(f"`{name}`" for name in sorted(reads_of(model)))
        rows.append(f"A {model.kind}" + (f" of {reads}.\n" if reads else ".\n"))
    rows += ["| column | type | means |", "|---|---|---|"]
    rows += [f"| `{name}` | {kind.lower()} | {escape(of)} |" for name, kind, of in relation.columns]
    return "\n".join(rows) + "\n"


def escape(comment: str) -> str:
    """What Markdown would take for its own."""
    return re.sub(r"([|*<])", r"\\\1", comment)


def reads_of(model: Model) -> set[str]:
    raw = {f"m3ter_raw.{model.raw_table}"} if model.raw_table else set()
    return raw | model.depends_on


def render_lineage(models: Iterable[Model]) -> str:
    drawn = [model for model in models if model.full_name not in NOT_DRAWN]
    edges = sorted(
        (source, model.full_name) for model in drawn for source in reads_of(model) - NOT_DRAWN
    )
    names = sorted({name for edge in edges for name in edge})
    lines = ["```mermaid", "flowchart LR"]
    for schema in ("m3ter_raw", "m3ter_staging", "m3ter"):
        lines.append(f"    subgraph {schema}")
        for name in names:
            of, relation = name.split(".")
            if of == schema:
                lines.append(f"        {node(name)}[{relation}]")
        lines.append("    end")
    lines += [f"    {node(source)} --> {node(target)}" for source, target in edges]
    return "\n".join([*lines, "```"]) + "\n"


def node(name: str) -> str:
    return name.replace(".", "__")


def render() -> str:
    comments = read_comments()
    models: Mapping[str, Model] = {model.full_name: model for model in read_models()}
    marts = [each for name, each in comments.items() if name.startswith("m3ter.")]
    staging = [comments[name] for name in PUBLIC_STAGING]
    parts = [HEAD, render_contents([*marts, *staging]), LINEAGE, render_lineage(models.values())]
    parts += [
        "## m3ter: the marts\n",
        *(render_relation(each, models[each.name]) for each in marts),
    ]
    parts += ["## m3ter_staging: what the numbers rest on\n"]
    parts += [render_relation(each, models[each.name]) for each in staging]
    parts += [RAW, *(render_relation(each, None) for each in describe_raw())]
    return "\n".join(parts)


def test_the_data_dictionary_says_what_stands_in_the_database() -> None:
    assert DICTIONARY.read_text(encoding="utf-8") == render(), "run `make docs`"


if __name__ == "__main__":
    DICTIONARY.write_text(render(), encoding="utf-8")
    sys.exit()
