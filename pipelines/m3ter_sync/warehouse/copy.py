"""Moves a DuckDB warehouse to another destination, without asking m3ter for anything again.

    Origin ─► copy_to_postgres | copy_to_lake ─► models ─► checks ─► publish

The rows go over with what tells which load brought them and when: so cursors, histories and load
times are there what they were here, and the next sync goes on from where the last one ended.
"""

from contextlib import ExitStack

from m3ter_sync.warehouse.copy_origin import CopySummary, Origin
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.refresh import refresh


def copy_warehouse(source: Location, target: Location, *, run_id: str | None = None) -> CopySummary:
    """Copies all that was loaded, then builds, checks and publishes the marts over there.

    Args:
        source: A DuckDB warehouse; nobody can sync it meanwhile.
        target: An empty place, or one that a copy of the same warehouse did not come to the end of.
        run_id: What the log lines carry, told to those who find one of the two locked.

    Raises:
        WarehouseMisplaced: the source is no warehouse, or the target is one already.
        WarehouseError: one of the two cannot be used; what came over stays.
        ModelError: a setting or a model cannot be used; the rows are all there.
    """
    if target.is_lake:
        from m3ter_sync.warehouse.copy_to_lake import copy_rows
    else:
        from m3ter_sync.warehouse.copy_to_postgres import copy_rows

    source.check_exists()
    summary = CopySummary()
    with ExitStack() as stack:
        stack.enter_context(source.acquire("copy", run_id))
        stack.enter_context(target.acquire("copy", run_id))
        with Origin.open(source) as origin:
            copy_rows(origin, target, summary)
        connection = stack.enter_context(target.connect())
        summary.failed_checks = [check.name for check in refresh(connection, target)]
    return summary
