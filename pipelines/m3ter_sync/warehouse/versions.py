"""Tells what is current of rows of which every version is kept: one SQL for every engine.

The newest version is the one of the newest commit, by its number: load ids are times, and clocks
are put back. What a warehouse that merges would hold is what these selects find.
"""

from collections.abc import Iterable

from m3ter_sync.source.tables import Table
from m3ter_sync.source.versions import IS_DELETED, LISTED_AT

COMMIT_NUMBER = "commit_number"
_INTERNAL = (COMMIT_NUMBER, LISTED_AT, IS_DELETED)


def select_newest(table: Table, versions: str, columns: Iterable[str]) -> str:
    """A SELECT, in DuckDB's SQL, of the newest version of each row.

    Args:
        table: Which table.
        versions: The relation that holds them all, with the number of the commit of each.
        columns: The columns of that relation.
    """
    names = list(columns)
    # The name is our own relation's, and the columns are quoted.
    return f"""
        select {_list_of(names)}
        from {versions}
        qualify row_number() over (partition by {_list_of(table.primary_key)} {_order(names)}) = 1
        """  # noqa: S608 - our own names


def select_history(table: Table, versions: str, columns: Iterable[str]) -> str:
    """A SELECT, in DuckDB's SQL, of every stay of a row as it was, as dlt's scd2 keeps them.

    Where one load brings a row and says that it went, it went after it came: so a stay is written
    that was told from elsewhere.

    Args:
        table: Which table, of those that keep their history.
        versions: The relation that holds what `build_change_rows` wrote, with the commits.
        columns: The columns of that relation.
    """
    names = list(columns)
    (key,) = table.primary_key
    # The name is our own relation's, and the columns are quoted.
    return f"""
        select _dlt_valid_from, _dlt_valid_to, {_list_of(names)}
        from (
            select *,
                {LISTED_AT} as _dlt_valid_from,
                lead({LISTED_AT}) over (
                    partition by "{key}" order by {COMMIT_NUMBER}, {IS_DELETED}
                ) as _dlt_valid_to
            from (
                select * from {versions}
                qualify row_number() over (
                    partition by "{key}", {COMMIT_NUMBER}, {IS_DELETED} {_order(names)}
                ) = 1
            ) as changes
        ) as stays
        where not {IS_DELETED}
        """  # noqa: S608 - our own names


def quote_name(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _list_of(columns: Iterable[str]) -> str:
    return ", ".join(quote_name(name) for name in columns if name not in _INTERNAL)


def _order(columns: Iterable[str]) -> str:
    """The newest commit first and, of two versions in one load, the newer."""
    names = set(columns) & {"version", "dt_last_modified"}
    within = (f"{name} desc nulls last" for name in sorted(names, reverse=True))
    return ", ".join([f"order by {COMMIT_NUMBER} desc", *within])
