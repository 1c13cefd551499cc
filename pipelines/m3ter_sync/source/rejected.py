"""Rows that break their contract: kept with reason and source, never lost, never in the way."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from m3ter_sync.source.fan_out import Entity
from m3ter_sync.source.parsing import RejectedRow
from m3ter_sync.source.tables import REJECTED_ROWS

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected row, the table it was meant for, and the entity that was being listed."""

    table_name: str
    row: RejectedRow
    entity: Entity | None = None


def build_rejected_rows(rejections: Iterable[Rejection], *, rejected_at: datetime) -> pa.Table:
    """The rows of `rejected_rows`; a row that is served again gets the same key again."""
    rows: dict[str, dict[str, object]] = {}
    for rejection in rejections:
        source = rejection.row.source
        key = hashlib.sha256(f"{rejection.table_name}\n{source}".encode()).hexdigest()
        rows[key] = {
            "rejected_id": key,
            "table_name": rejection.table_name,
            "entity_type": rejection.entity and rejection.entity.entity_type,
            "entity_id": rejection.entity and rejection.entity.entity_id,
            "reason": rejection.row.reason,
            "source": source,
            "rejected_at": rejected_at,
        }
        _LOG.warning(
            "A row of %s%s cannot be read, it goes to rejected_rows: %s.",
            rejection.table_name,
            f" of {rejection.entity}" if rejection.entity else "",
            rejection.row.reason,
        )
    return pa.Table.from_pylist(list(rows.values()), schema=REJECTED_ROWS.arrow_schema)
