"""Tells rows that a warehouse holds just as they were served from those worth loading."""

from typing import Any

import pyarrow as pa

from m3ter_sync.source.changes import Changes
from m3ter_sync.source.tables import Table
from m3ter_sync.warehouse.connection import Connection
from m3ter_sync.warehouse.location import RAW_SCHEMA
from m3ter_sync.warehouse.memory import with_enough_memory


class WarehouseRows:
    """Compares fetched rows, column by column, with those in the warehouse."""

    def __init__(self, connection: Connection, *, is_append_only: bool = False) -> None:
        self._connection = connection
        self.is_append_only = is_append_only

    def drop_unchanged(self, table: Table, rows: pa.Table) -> Changes:
        """The rows that the warehouse lacks or holds otherwise.

        A rejected row that is known is left alone: only the time of its rejection differs.
        """
        held = self._columns(table)
        if not held or not rows.num_rows:
            return Changes(rows, rows.num_rows)
        named = {column.name for column in table.columns}
        compared = set(rows.column_names) | held - set(table.primary_key)
        if table.name == "rejected_rows":
            compared = set()
        differences = [
            _difference(name, name in rows.column_names, name in held, name in named)
            for name in sorted(compared)
            if not name.startswith("_dlt")
        ]
        join = " and ".join(f'fetched."{key}" = held."{key}"' for key in table.primary_key)
        changed = " or ".join(differences) or "false"
        key = table.primary_key[0]
        sql = f"""
            select fetched._dlt_place, held."{key}" is null as is_new
            from fetched_rows as fetched
            left join {self._held(table, held)} as held on {join}
            where held."{key}" is null or {changed}
            """  # noqa: S608 - names of our own columns, or quoted
        places = pa.array(range(rows.num_rows), pa.int64())
        found = _ask_of(self._connection, rows.append_column("_dlt_place", places), sql)
        return Changes(
            rows.take(pa.array(sorted(place for place, _ in found), pa.int64())),
            sum(is_new for _, is_new in found),
        )

    def find_missing(self, table: Table, rows: pa.Table) -> list[str]:
        """The keys of the current rows that the warehouse holds and that are not among these."""
        held = self._columns(table)
        if not held:
            return []
        key = table.primary_key[0]
        sql = f"""
            select held."{key}" from {self._held(table, held)} as held
            where held."{key}" not in (select fetched."{key}" from fetched_rows as fetched)
            """  # noqa: S608 - names of our own
        return [str(key) for (key,) in _ask_of(self._connection, rows, sql)]

    def lacks(self, table: Table) -> bool:
        """Whether the warehouse has no such table."""
        return not self._columns(table)

    @staticmethod
    def _held(table: Table, columns: set[str]) -> str:
        """The rows as they are now, of a table that may keep its history."""
        name = f"{RAW_SCHEMA}.{table.name}"
        if "_dlt_valid_to" in columns:
            # The name is one of our own tables.
            return f"(select * from {name} where _dlt_valid_to is null)"  # noqa: S608 - our own names
        return name

    def _columns(self, table: Table) -> set[str]:
        found = self._connection.execute(
            "select column_name from information_schema.columns "
            "where table_catalog = current_database() and table_schema = ? and table_name = ?",
            [RAW_SCHEMA, table.name],
        ).fetchall()
        return {name for (name,) in found}


@with_enough_memory
def _ask_of(connection: Connection, rows: pa.Table, sql: str) -> list[tuple[Any, ...]]:
    """What a query finds, in which `fetched_rows` are these."""
    connection.register("fetched_rows", rows)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.unregister("fetched_rows")


def _difference(name: str, is_fetched: bool, is_held: bool, is_named: bool) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if is_fetched and is_held:
        # An unknown field is text, whatever its column was made as.
        held = f"held.{quoted}" if is_named else f"cast(held.{quoted} as varchar)"
        return f"fetched.{quoted} is distinct from {held}"
    return f"{'fetched' if is_fetched else 'held'}.{quoted} is not null"
