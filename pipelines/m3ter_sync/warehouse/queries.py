"""The questions that `sql/queries` answers."""

from dataclasses import dataclass
from pathlib import Path

from m3ter_sync.warehouse.sql_files import ModelError, read_header, sql_folder


@dataclass(frozen=True, slots=True)
class Query:
    """A question in plain words, and the SQL that answers it from the marts."""

    name: str
    question: str
    sql: str


def list_queries(folder: Path | None = None) -> list[Query]:
    """All of them, by name."""
    paths = sorted(((folder or sql_folder()) / "queries").glob("*.sql"))
    return [_read(path) for path in paths]


def read_query(name: str, folder: Path | None = None) -> Query:
    """The one of this name.

    Raises:
        ModelError: there is none; the message names those there are.
    """
    queries = {query.name: query for query in list_queries(folder)}
    if name not in queries:
        raise ModelError(f"There is no query {name!r}. There are: {', '.join(queries)}.")
    return queries[name]


def _read(path: Path) -> Query:
    text = path.read_text()
    return Query(path.stem, " ".join(read_header(text)), text.rstrip().rstrip(";"))
