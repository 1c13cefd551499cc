"""What the published folder holds: made when, from what, and how much of it."""

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, get_origin, get_type_hints

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One publication.

    Attributes:
        published_at: When it was made.
        as_of: The start of the last sync that succeeded, from which windows roll back.
        warehouse: The name of the database that it was made from.
        sync_id: The last sync before it, however that ended.
        load_id: The newest load of dlt in it.
        failed_checks: Those that failed, and were overruled.
        schema_version: The newest version in the changelog's table of schema changes.
        m3ter_sync_version: What published it.
        duckdb_version: What wrote the files.
        storage_version: The storage format of the database: what DuckDB it takes to read it.
        rows: How many, by relation.
        files: How large in bytes, by name.
    """

    published_at: datetime
    as_of: datetime | None
    warehouse: str
    sync_id: str | None
    load_id: str | None
    failed_checks: list[str]
    schema_version: str
    m3ter_sync_version: str
    duckdb_version: str
    storage_version: str
    rows: dict[str, int]
    files: dict[str, int]

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(asdict(self), indent=2, default=datetime.isoformat) + "\n"


def read_manifest(folder: Path) -> Manifest | None:
    """What was published in a folder; None where nothing was, or not by this program."""
    try:
        held = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        for name in ("published_at", "as_of"):
            held[name] = held[name] and datetime.fromisoformat(held[name])
        given = {each.name: held[each.name] for each in fields(Manifest)}
        types = get_type_hints(Manifest)
        if all(isinstance(value, _plain(types[name])) for name, value in given.items()):
            return Manifest(**given)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    return None


def _plain(kind: Any) -> Any:
    """What isinstance takes of a type: of `dict[str, int]`, dict."""
    return kind if isinstance(kind, UnionType) else get_origin(kind) or kind
