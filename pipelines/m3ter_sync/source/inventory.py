"""What the organization has: listed once, then read by whatever needs it.

Bills and notification configurations are both rows to load and the entities whose runs are
listed; one listing serves both.
"""

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from m3ter_sync.api import (
    M3terClient,
    fetch_bills,
    fetch_event_types,
    fetch_integration_configurations,
    fetch_notification_configurations,
)
from m3ter_sync.source.changes import KnownRows, Tally
from m3ter_sync.source.parsing import RejectedRow, parse_rows
from m3ter_sync.source.rejected import Rejection
from m3ter_sync.source.tables import (
    BILLS,
    EVENT_TYPES,
    INTEGRATION_CONFIGURATIONS,
    NOTIFICATION_CONFIGURATIONS,
    SNAPSHOTS,
    Table,
)


class Inventory:
    """The organization's bills, notification configurations, links and event types.

    Each is fetched when it is first asked for. Rows that cannot be read are set aside in
    `rejected`, for the table `rejected_rows`.
    """

    def __init__(
        self,
        client: M3terClient,
        organization_id: str,
        *,
        active: bool | None = None,
        event_name: str | None = None,
        ids: Sequence[str] = (),
        known_bills: KnownRows | None = None,
        tally: Tally | None = None,
    ) -> None:
        """Remembers what to ask for.

        Args:
            client: Speaks to the API.
            organization_id: Whose they are.
            active: Only notification configurations that are (not) active.
            event_name: Only notification configurations on this event type.
            ids: Only these notification configurations.
            known_bills: Where given, the listing of bills (newest first) ends at the first page of
                which the destination holds every row as it is.
            tally: Counts what is fetched.
        """
        self.organization_id = organization_id
        self.clock = client.clock
        self._client = client
        self.tally = tally or Tally()
        self.rejected: list[Rejection] = []
        self.is_filtered = active is not None or event_name is not None or bool(ids)
        self.bills_are_complete = known_bills is None
        self._filters: dict[str, Any] = {"active": active, "event_name": event_name, "ids": ids}
        self._known_bills = known_bills

    @cached_property
    def notification_configurations(self) -> pa.Table:
        """All notification configurations, or those that pass the filters."""
        pages = fetch_notification_configurations(self._client, **self._filters)
        return self._read(NOTIFICATION_CONFIGURATIONS, pages)

    @cached_property
    def integration_configurations(self) -> pa.Table:
        """All links between entities and destinations."""
        pages = fetch_integration_configurations(self._client)
        return self._read(INTEGRATION_CONFIGURATIONS, pages)

    @cached_property
    def event_types(self) -> pa.Table:
        """The names of all event types."""
        names = fetch_event_types(self._client)
        return self._read(EVENT_TYPES, [[{"name": name} for name in names]])

    @cached_property
    def snapshots_listed_at(self) -> datetime:
        """When the listing of the snapshots began."""
        return self.clock.utc()

    def fetch_snapshots(self) -> None:
        """Lists notifications, links and event types at once: each mostly waits for answers."""
        _ = self.snapshots_listed_at
        with ThreadPoolExecutor(len(SNAPSHOTS), thread_name_prefix="snapshot") as pool:
            list(pool.map(lambda table: getattr(self, table.name), SNAPSHOTS))

    @cached_property
    def bills_listed_at(self) -> datetime:
        """When the listing of the bills began."""
        return self.clock.utc()

    @cached_property
    def bills(self) -> pa.Table:
        """All bills, or the newest ones down to a page that is known."""
        _ = self.bills_listed_at
        tables: list[pa.Table] = []
        for page in fetch_bills(self._client):
            table = self._parse(BILLS, page)
            tables.append(table)
            if page and self._is_known(table):
                break
        else:
            self.bills_are_complete = True
        return self._join(BILLS, tables)

    def refresh_bills(self, bill_ids: Collection[str]) -> None:
        """Asks again for these of the bills that the listing did not come to.

        A bill is sent again when it is recalculated: where runs changed, so may have the bill.
        """
        if not bill_ids:
            return
        listed = set(self.bills.column("id").to_pylist())
        older = [bill_id for bill_id in bill_ids if bill_id not in listed]
        if older and not self.bills_are_complete:
            pages = [self._parse(BILLS, page) for page in fetch_bills(self._client, ids=older)]
            self.bills = self._join(BILLS, [self.bills, *pages])

    def entity_ids(self, table: Table) -> list[str]:
        """The ids of all rows of a table, also of those that cannot be read otherwise."""
        read = getattr(self, table.name).column("id").to_pylist()
        rejected = (each.row.id for each in self.rejections_of(table))
        return [*read, *(row_id for row_id in rejected if row_id is not None)]

    def rejections_of(self, table: Table) -> list[Rejection]:
        """The rows of a table that cannot be read, as far as it is listed."""
        return [each for each in self.rejected if each.table_name == table.name]

    def _is_known(self, bills: pa.Table) -> bool:
        known = self._known_bills
        if known is None or not bills.num_rows:
            return False
        return not known.drop_unchanged(BILLS, bills).rows.num_rows

    def _read(self, table: Table, pages: Iterable[list[Any]]) -> pa.Table:
        return self._join(table, [self._parse(table, page) for page in pages])

    def _parse(self, table: Table, page: list[Any]) -> pa.Table:
        parsed = parse_rows(table, page)
        self.tally.fetched[table.name] += len(page)
        self._reject(table, parsed.rejected)
        return parsed.table

    def _join(self, table: Table, parts: list[pa.Table]) -> pa.Table:
        """One row a key, the last one served: a listing may serve a row on two pages."""
        joined = pa.concat_tables(
            [table.arrow_schema.empty_table(), *parts], promote_options="default"
        )
        (key,) = table.primary_key
        last = {value: index for index, value in enumerate(joined.column(key).to_pylist())}
        return joined if len(last) == joined.num_rows else joined.take(sorted(last.values()))

    def _reject(self, table: Table, rejected: list[RejectedRow]) -> None:
        self.tally.rejected[table.name] += len(rejected)
        self.rejected += [Rejection(table.name, row) for row in rejected]
