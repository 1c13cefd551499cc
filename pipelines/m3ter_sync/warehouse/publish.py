"""The copy that others read: the marts as tables in one DuckDB file, and as Parquet.

The warehouse is private to the pipeline: DuckDB lets one process write to a file and keeps all
others out meanwhile. Each published file is made beside its place and moved there as a whole, so
whoever has the old one open keeps reading it, and nobody ever sees half of one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from m3ter_sync.warehouse.models import published_relations, quote_text

if TYPE_CHECKING:
    import duckdb

DATABASE_NAME = "m3ter.duckdb"
_CATALOG = "published"


def publish(connection: "duckdb.DuckDBPyConnection", folder: Path) -> list[Path]:
    """Publishes every mart of a warehouse whose models are built.

    In the published database the marts stand in schema `main`: DuckDB names a catalog after its
    file, so both `notification_coverage` and `m3ter.notification_coverage` find them there.

    Args:
        connection: The warehouse.
        folder: Where the files go.

    Returns:
        The files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / DATABASE_NAME]
    with _replacing(files[0]) as path:
        connection.execute(f"attach {quote_text(str(path))} as {_CATALOG}")
        try:
            for mart in published_relations():
                source, target = mart.full_name, f"{_CATALOG}.main.{mart.name}"
                connection.execute(f"create table {target} as from {source}")
                connection.execute(f"comment on table {target} is {quote_text(mart.comment)}")
                for column in mart.columns:
                    comment = quote_text(column.comment)
                    connection.execute(f'comment on column {target}."{column.name}" is {comment}')
        finally:
            connection.execute(f"detach {_CATALOG}")
    for mart in published_relations():
        files.append(folder / f"{mart.name}.parquet")
        with _replacing(files[-1]) as path:
            connection.execute(
                f"copy (from {mart.full_name}) to {quote_text(str(path))} (format parquet)"
            )
    return files


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path to write to; what is there in the end takes the place of `path`, all at once."""
    draft = path.with_name(f".{path.name}.draft")
    leftovers = [draft, draft.with_name(f"{draft.name}.wal")]
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    try:
        yield draft
        draft.replace(path)
    finally:
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
