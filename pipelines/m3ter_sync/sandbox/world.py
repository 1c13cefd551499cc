"""What stands in the sandbox's m3ter, and how it moves on."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from .catalogue import EVENT_TYPES
from .deliveries import Deliveries, Route, Trouble
from .draw import Draw, milliseconds
from .failures import DESTINATIONS
from .tables import Row, RunTable, Table

FAKE_CREDENTIAL = "sandbox-credential-that-must-not-be-loaded"
"""Stands in every integration configuration's `configData`: nothing that is stored may hold it."""


class Account(NamedTuple):
    """A customer, what its bills come to, and which integrations they are sent by."""

    id: str
    code: str
    currency: str
    typical_total: float
    integrations: tuple[str, ...]


@dataclass
class WorldChanges:
    """The ids of what one `advance` made, changed and removed."""

    new_bills: list[str] = field(default_factory=list)
    changed_bills: list[str] = field(default_factory=list)
    newcomer_bills: list[str] = field(default_factory=list)
    new_runs: list[str] = field(default_factory=list)
    changed_runs: list[str] = field(default_factory=list)
    new_notifications: list[str] = field(default_factory=list)
    edited_notifications: list[str] = field(default_factory=list)
    deactivated_notifications: list[str] = field(default_factory=list)
    deleted_notifications: list[str] = field(default_factory=list)


class World:
    """One organization's objects, JSON-shaped and exactly as the API serves them.

    Anybody may change them by hand, holding `lock` while the server runs: it takes the same lock
    for every page. Put new rows in under their id; change the others in place.
    """

    def __init__(self, seed: int, now: datetime, *, varied_timestamps: bool = False) -> None:
        self.now = now
        self.lock = threading.RLock()
        self.bills = Table()
        self.integration_runs = RunTable()
        self.notification_configurations = Table()
        self.integration_configurations = Table()
        self.event_types: list[str] = list(EVENT_TYPES)
        self.accounts: list[Account] = []
        self._account_places: dict[str, int] = {}
        self.draw = Draw(seed, varied_timestamps=varied_timestamps)
        self.troubles: dict[str, list[Trouble]] = {}
        self.deliveries = Deliveries(self.draw, self.troubles)
        self.quiet_notifications: set[str] = set()
        self.invoice_count = 0
        self.bills_per_day = 0.0
        self.runs_per_day = 0.0
        self.notification_share = 0.0

    def advance(self, days: float = 1.0) -> WorldChanges:
        """Moves the world on: time passes, and what would happen in it happens.

        Open runs finish or go on, waiting ones start, bills are made and sent again, and
        notifications are edited, switched off, removed and set up. The same seed and steps give
        the same world.
        """
        from .changes import advance

        with self.lock:
            return advance(self, days)

    def has_entity(self, entity_type: str, entity_id: str) -> bool:
        """Whether the API knows the bill or notification; it answers 404 where not."""
        if entity_type == "Bill":
            return entity_id in self.bills
        return entity_id in self.notification_configurations

    def listed_runs(self) -> dict[str, Row]:
        """The runs that can be read now: those of a deleted entity cannot."""
        return {
            run_id: row
            for run_id, row in self.integration_runs.items()
            if self.has_entity(row["entityType"], row["entityId"])
        }

    def change_run(self, run_id: str, **fields: object) -> Row:
        """Changes a run by hand as m3ter would: its version rises, it was modified now."""
        with self.lock:
            row = self.integration_runs[run_id]
            self.deliveries.change(row, milliseconds(self.now), **fields)
            return row

    def account_of(self, bill: Row) -> Account:
        """Whose bill it is."""
        return self.accounts[self._account_places[bill["accountId"]]]

    def add_account(self, account: Account) -> None:
        """Takes a customer on."""
        self._account_places[account.id] = len(self.accounts)
        self.accounts.append(account)

    def bill_routes(self, bill: Row) -> list[Route]:
        """Where a bill is sent."""
        account = self.account_of(bill)
        integrations = (self.integration_configurations[each] for each in account.integrations)
        return [
            Route(
                "Bill",
                bill["id"],
                DESTINATIONS[integration["destination"]],
                integration["destinationId"],
                account.code,
            )
            for integration in integrations
        ]

    def send_bill(self, bill: Row, at: int, until: int) -> list[Row]:
        """Sends a bill to all its destinations, one shortly after the other."""
        runs = []
        for number, route in enumerate(self.bill_routes(bill)):
            runs += self.deliveries.send(route, min(at + number * 180, until), until)
        if bill["status"] == "APPROVED" and runs and "externalId" in runs[-1]:
            bill["externalInvoiceReference"] = runs[-1]["externalId"]
        return runs

    def notification_routes(self, notification_id: str) -> Iterator[Route]:
        """Where a notification is sent: its links, whatever state they are in."""
        for link in self.integration_configurations.values():
            if link.get("entityId") == notification_id:
                yield Route(
                    "Notification",
                    notification_id,
                    DESTINATIONS[link["destination"]],
                    link["destinationId"],
                    "",
                )
