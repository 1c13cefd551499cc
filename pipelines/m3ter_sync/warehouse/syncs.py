"""The log of syncs, in the warehouse: what each did, and how it ended."""

from typing import TYPE_CHECKING, Any

from m3ter_sync.warehouse.connection import Connection
from m3ter_sync.warehouse.location import RAW_SCHEMA, Location

if TYPE_CHECKING:
    from m3ter_sync.warehouse.summary import SyncSummary

SYNCS_TABLE = f"""
create schema if not exists {RAW_SCHEMA};
create table if not exists {RAW_SCHEMA}.syncs (
    sync_id varchar primary key,
    started_at timestamptz not null,
    finished_at timestamptz,
    outcome varchar not null,
    error varchar,
    seconds double,
    request_count bigint,
    retry_count bigint,
    throttled_count bigint,
    entity_count bigint,
    listed_entity_count bigint,
    skipped_entity_count bigint,
    gone_entity_count bigint,
    fetched_row_count bigint,
    new_row_count bigint,
    changed_row_count bigint,
    deleted_row_count bigint,
    rejected_row_count bigint,
    sync_number bigint
)
"""
# A warehouse of an older version has none; its syncs come before all others.
_NUMBER = f"alter table {RAW_SCHEMA}.syncs add column sync_number bigint"
_COLUMNS = """
select column_name from information_schema.columns
where table_catalog = current_database() and table_schema = ? and table_name = 'syncs'
"""

_DLT_TYPES = {
    "sync_id": "text",
    "started_at": "timestamp",
    "finished_at": "timestamp",
    "outcome": "text",
    "error": "text",
    "seconds": "double",
}


def make_log(connection: Connection) -> None:
    """Makes the table of the log, with the columns that it has now."""
    # To alter a table takes it for oneself, even where it has the column: who reads it would have
    # to end first.
    columns = connection.execute(_COLUMNS, [RAW_SCHEMA]).fetchall()
    if not columns:
        connection.execute(SYNCS_TABLE)
    elif ("sync_number",) not in columns:
        connection.execute(_NUMBER)


def _add_by_dlt(location: Location, row: dict[str, Any]) -> None:
    """Where only dlt can write: a load of its own, which nothing that is left to load delays."""
    from m3ter_sync.warehouse.dlt_pipeline import build_pipeline
    from m3ter_sync.warehouse.state import read_newest_sync_number

    pipeline = build_pipeline(location, "m3ter_sync_log")
    if pipeline.has_pending_data:
        pipeline.drop()
    number = read_newest_sync_number(pipeline) + 1
    columns: Any = {name: {"data_type": _DLT_TYPES.get(name, "bigint")} for name in row}
    pipeline.run(
        [row | {"sync_number": number}],
        table_name="syncs",
        write_disposition="append",
        columns=columns | {"sync_number": {"data_type": "bigint"}},
    )


def record_sync(location: Location, summary: "SyncSummary") -> None:
    """Writes down what a sync did; `as_of` is the start of the last one that succeeded.

    The last is the one with the highest number: clocks are put back.
    """
    tables = summary.tables.values()
    row = {
        "sync_id": summary.sync_id,
        "started_at": summary.started_at,
        "finished_at": summary.finished_at,
        "outcome": summary.outcome,
        "error": summary.error,
        "seconds": summary.seconds,
        "request_count": summary.requests,
        "retry_count": summary.retries,
        "throttled_count": summary.throttled,
        "entity_count": summary.entities_known,
        "listed_entity_count": summary.entities_listed,
        "skipped_entity_count": summary.entities_skipped,
        "gone_entity_count": len(summary.entities_gone),
        "fetched_row_count": sum(table.fetched for table in tables),
        "new_row_count": sum(table.new for table in tables),
        "changed_row_count": sum(table.changed for table in tables),
        "deleted_row_count": sum(table.deleted for table in tables),
        "rejected_row_count": summary.rejected_count,
    }
    if location.is_lake:
        from m3ter_sync.warehouse.lake import Lake

        lake = Lake.open(location)
        with lake.connection:
            lake.record(row)
        return
    if not location.is_readable:
        _add_by_dlt(location, row)
        return
    with location.connect() as connection:
        make_log(connection)
        marks = ", ".join("?" * len(row))
        # Our own schema, and question marks: the values are bound.
        connection.execute(
            f"insert into {RAW_SCHEMA}.syncs "  # noqa: S608 - our own names
            f"select {marks}, coalesce(max(sync_number), 0) + 1 from {RAW_SCHEMA}.syncs",
            [*row.values()],
        )
