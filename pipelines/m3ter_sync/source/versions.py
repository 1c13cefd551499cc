"""Versions of rows, for a destination that keeps all that was ever written to it.

What is newest, and from when to when each version of a row was current, is then told by whoever
reads (`warehouse/versions.py`), from what is written here.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from m3ter_sync.source.tables import Column, Table

LISTED_AT, IS_DELETED = "_listed_at", "_is_deleted"
_COLUMNS = (
    Column(LISTED_AT, LISTED_AT, "timestamp", "When the listing began that the row is of."),
    Column(IS_DELETED, IS_DELETED, "bool", "True: that listing had the row no more."),
)


def as_changes(table: Table) -> Table:
    """The table of a history as it is written: with when a row changed, and whether it went."""
    return replace(table, columns=(*table.columns, *_COLUMNS))


def build_change_rows(
    table: Table, changed: pa.Table, missing: Sequence[str], listed_at: datetime
) -> pa.Table:
    """What a complete listing says that is not known yet.

    Args:
        table: A table that keeps its history.
        changed: The rows that are new or have changed.
        missing: The keys of the rows that are no more: of each, only its key is written.
        listed_at: When the listing began.
    """
    (key,) = table.primary_key
    schema = changed.schema
    gone = pa.Table.from_pylist([{key: each} for each in missing], schema=schema)
    rows = pa.concat_tables([changed, gone])
    listed, deleted = (each.to_arrow() for each in _COLUMNS)
    flags = [False] * changed.num_rows + [True] * len(missing)
    return rows.append_column(
        listed, pa.array([listed_at] * rows.num_rows, listed.type)
    ).append_column(deleted, pa.array(flags, deleted.type))
