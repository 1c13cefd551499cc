"""Copies the rows of a DuckDB warehouse into a lake.

    integration_runs/copied/….parquet      rows of many loads, as they are now
    event_types/copied/….parquet           each stay of a row as the changes that tell it
    syncs/copied/….parquet                 the log of syncs
    commits/000000001.parquet              all of these, and the loads that there were

The one commit comes last: a copy that was cut short counts for nothing. A file is named after what
it holds, so that the next attempt finds those that are there.
"""

import logging
from collections.abc import Iterator

import pyarrow as pa

from m3ter_sync.source.tables import ENTITIES, SNAPSHOTS, TABLES, Table
from m3ter_sync.source.versions import IS_DELETED, LISTED_AT
from m3ter_sync.warehouse.copy_origin import CopySummary, Origin
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline
from m3ter_sync.warehouse.lake import SYNCS, Lake
from m3ter_sync.warehouse.location import RAW_SCHEMA, Location, WarehouseMisplaced
from m3ter_sync.warehouse.versions import COMMIT_NUMBER, quote_name

_LOG = logging.getLogger(__name__)
# A file of these is held in memory as it is written: some 100 MB of runs.
ROWS_PER_FILE = 200_000
_LOAD_ID, _NUMBER = "_dlt_load_id", "sync_number"


def copy_rows(origin: Origin, target: Location, summary: CopySummary) -> None:
    """Writes all files, then the commit that makes them count.

    Raises:
        WarehouseMisplaced: somebody synced into the lake already.
        WarehouseBusy: somebody does now; nothing of the copy counts.
        WarehouseError: the lake cannot be used.
    """
    pipeline = build_pipeline(target)
    lake = Lake.open(target)
    with lake.connection:
        if not lake.is_empty:
            raise WarehouseMisplaced(
                f"The lake {lake.files.url} holds a warehouse already: copy into another bucket "
                "URL, with a --database in another folder."
            )
        lake.files.begin(pipeline)
        loads = _read_loads(origin)
        origin.connection.register("copied_loads", loads)
        queries = {
            table.name: _select_changes(table, origin)
            if table in SNAPSHOTS
            else _select_rows(table, origin)
            for table in TABLES
            if table.name in origin.columns
        }
        if SYNCS in origin.columns:
            queries[SYNCS] = _select_syncs(origin)
        named = [
            (name, path)
            for name, query in queries.items()
            for path in _copy_table(origin, lake, name, query, summary)
        ]
        lake.commit(_build_commit(loads, named))
        for name in (name for name in queries if name != SYNCS):
            counted = lake.connection.execute(f"select count(*) from {RAW_SCHEMA}.{name}")  # noqa: S608 - our own names
            (summary.rows[name],) = counted.fetchall()[0]


def _copy_table(
    origin: Origin, lake: Lake, name: str, query: str, summary: CopySummary
) -> Iterator[str]:
    """The paths of the files of a table; of one without rows, an empty one that has its columns."""
    folder, count = f"{name}/copied", 0
    for rows in origin.read(query, ROWS_PER_FILE):
        path, is_new = lake.files.add_rows(folder, rows)
        count += rows.num_rows
        summary.kept_count += 0 if is_new else rows.num_rows
        _LOG.info("Copied %s rows of %s", f"{count:,}", name)
        yield path
    if not count:
        empty = origin.connection.execute(query).to_arrow_table()
        yield lake.files.add_rows(folder, empty)[0]


def _build_commit(loads: pa.Table, named: list[tuple[str, str]]) -> list[dict[str, object]]:
    """The newest load brings all files; what else it says is the order of the loads before it."""
    *others, newest = loads.to_pylist()
    files = [newest | {"table_name": name, "path": path} for name, path in named]
    return [*files, *reversed(others)]


def _read_loads(origin: Origin) -> pa.Table:
    """The loads as commits, in the order in which they were completed; the newest is number 1.

    That is the order of the rows of dlt's log: times are of clocks that are put back. A load that
    was killed half-way can have left rows without being in the log; its place goes by its id.
    """
    rows = " union ".join(
        f"select {_LOAD_ID} as load_id from {RAW_SCHEMA}.{table.name}"  # noqa: S608 - our own names
        for table in TABLES
        if table.name in origin.columns and table is not ENTITIES
    )
    sql = f"""
        with done as (
            select load_id, inserted_at, rowid as place
            from {RAW_SCHEMA}._dlt_loads where status = 0
        ),
        cut_short as (
            select load_id from ({rows}) as brought
            where load_id not in (select load_id from done)
        ),
        loads as (
            from done
            union all
            select
                load_id, to_timestamp(cast(load_id as double)),
                (select max(place) from done where done.load_id < cut_short.load_id)
            from cut_short
        )
        select
            row_number() over (in_order) - count(*) over () + 1 as {COMMIT_NUMBER},
            inserted_at as committed_at, load_id
        from loads
        window in_order as (order by place nulls first, load_id)
        order by 1
        """  # noqa: S608 - our own names
    return origin.connection.execute(sql).to_arrow_table()


def _select_rows(table: Table, origin: Origin) -> str:
    """A SELECT of the rows of a table as they are.

    What an entity's row says of a load that was killed half-way counts nowhere
    (`read_state`): without it the entity is listed again, as it would be here.
    """
    counts = f"{_LOAD_ID} in (select load_id from {RAW_SCHEMA}._dlt_loads where status = 0)"  # noqa: S608 - our own names
    return f"""
        select {_list_columns(table, origin)}
        from {RAW_SCHEMA}.{table.name}
        where {counts if table is ENTITIES else "true"}
        order by {", ".join(table.primary_key)}
        """  # noqa: S608 - our own names, and names that are quoted


def _select_changes(table: Table, origin: Origin) -> str:
    """A SELECT of the stays of rows as changes, of which `select_history` tells the same stays.

    One that ended otherwise than by the next one's beginning ended with a deletion. No row says
    which load saw that: it is told under the load of the stay, in which a deletion comes last.
    """
    (key,) = table.primary_key
    return f"""
        with stays as (
            select rows.*, lead(_dlt_valid_from) over (
                partition by rows."{key}" order by copied_loads.{COMMIT_NUMBER}
            ) as next_from
            from {RAW_SCHEMA}.{table.name} as rows
            inner join copied_loads on rows.{_LOAD_ID} = copied_loads.load_id
        )
        select
            {_list_columns(table, origin)},
            _dlt_valid_from as {LISTED_AT}, false as {IS_DELETED}
        from stays
        union all by name
        select "{key}", {_LOAD_ID}, _dlt_valid_to as {LISTED_AT}, true as {IS_DELETED}
        from stays
        where _dlt_valid_to is not null and _dlt_valid_to is distinct from next_from
        order by "{key}", {LISTED_AT}, {IS_DELETED}
        """  # noqa: S608 - our own names, and names that are quoted


def _select_syncs(origin: Origin) -> str:
    """A SELECT of the log of syncs, of which the last is number 0: a lake's own begin with 1."""
    names = [name for name in origin.columns[SYNCS] if name != _NUMBER]
    number = f"{_NUMBER} - max({_NUMBER}) over () as {_NUMBER}"
    listed = [*names, number] if _NUMBER in origin.columns[SYNCS] else names
    return f"select {', '.join(listed)} from {RAW_SCHEMA}.{SYNCS} order by started_at, sync_id"  # noqa: S608 - our own names


def _list_columns(table: Table, origin: Origin) -> str:
    """The columns of a table, of dlt's own the load alone; what m3ter added later is text."""
    typed = {_LOAD_ID, *(column.name for column in table.columns)}
    return ", ".join(
        quoted if name in typed else f"cast({quoted} as varchar) as {quoted}"
        for name in origin.columns[table.name]
        if name in typed or not name.startswith("_dlt")
        for quoted in [quote_name(name)]
    )
