"""The failure views a second time, in plain Python from the API's objects.

Written from the words of the definitions, not from the SQL: what both say is likely so.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Any

Object = Mapping[str, Any]
Row = dict[str, Any]

CLASSES = {
    "succeeded": {"COMPLETE"},
    "failed": {"ERROR", "AUTH_FAILED", "TIMEOUT_LIMIT_EXCEEDED", "ACCOUNTING_PERIOD_CLOSED"},
    "superseded": {"INVOICE_ALREADY_PAID"},
    "blocked": {"DISABLED"},
    "in_flight": {"WAITING", "STARTED", "AWAITING_RETRY", "RATE_LIMIT_RETRY"},
    "unknown": set[str](),
}
WINDOWS = {"1d": 1, "7d": 7, "28d": 28, "all": None}


def class_of(run: Object) -> str:
    return next((name for name, known in CLASSES.items() if run["status"] in known), "unknown")


def instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def began(run: Object) -> datetime:
    """When a run started or, not started, was made; every run of the world was made."""
    moment = instant(run.get("dtStarted")) or instant(run["dtCreated"])
    assert moment
    return moment


def completed(run: Object) -> datetime | None:
    return instant(run.get("dtCompleted"))


def is_sandbox(destination: str) -> bool:
    return destination.endswith(("_TEST", "_SANDBOX"))


def wilson(hits: int, trials: int) -> tuple[float | None, float | None]:
    if not trials:
        return None, None
    z, p = 1.959964, hits / trials
    middle = p + z * z / (2 * trials)
    half = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    whole = 1 + z * z / trials
    return (middle - half) / whole, (middle + half) / whole


def share(name: str, hits: int, trials: int) -> Row:
    low, high = wilson(hits, trials)
    return {name: hits / trials if trials else None, f"{name}_low": low, f"{name}_high": high}


@dataclass
class Delivery:
    """Runs that belong to one attempt to bring one entity to one destination."""

    root: Object
    runs: list[Object]

    @property
    def key(self) -> tuple[str, str, str, str, str | None]:
        run = self.runs[0]
        return (self.root["id"], run["entityType"], run["entityId"], *self.target)

    @property
    def target(self) -> tuple[str, str | None]:
        return self.runs[0]["destination"], self.runs[0].get("destinationId")

    @property
    def kind(self) -> tuple[str, str]:
        return self.runs[0]["entityType"], self.runs[0]["destination"]

    @property
    def entity(self) -> str:
        return str(self.runs[0]["entityId"])

    @property
    def started(self) -> datetime:
        return began(self.root)

    @property
    def classes(self) -> list[str]:
        return [class_of(run) for run in self.runs]

    @property
    def last(self) -> Object:
        return max(self.runs, key=lambda run: (completed(run) or began(run), began(run)))

    @property
    def first(self) -> Object:
        return min(self.runs, key=began)

    @property
    def outcome(self) -> str:
        for decisive in ("succeeded", "in_flight"):
            if decisive in self.classes:
                return decisive
        return class_of(self.last)

    @property
    def successes(self) -> list[datetime]:
        """When each of its successes came."""
        succeeded = (run for run in self.runs if class_of(run) == "succeeded")
        return sorted(completed(run) or began(run) for run in succeeded)

    @property
    def is_recovered(self) -> bool:
        return self.outcome == "succeeded" and class_of(self.first) == "failed"

    @property
    def last_error(self) -> str | None:
        texts = [run for run in self.runs if run.get("error")]
        key: Callable[[Object], Any] = lambda run: (completed(run) or began(run), began(run))  # noqa: E731
        return max(texts, key=key)["error"] if texts else None

    def to_row(self) -> Row:
        delivery_id, entity_type, entity_id, destination, destination_id = self.key
        ends = [end for run in self.runs if (end := completed(run))]
        recovery = None
        if self.is_recovered and (failed_at := completed(self.first)):
            recovery = max(0.0, (self.successes[0] - failed_at).total_seconds())
        return {
            "delivery_id": delivery_id,
            "entity_type": entity_type,
            "entity_id": entity_id,
            "destination": destination,
            "destination_id": destination_id,
            "is_sandbox": is_sandbox(destination),
            "delivery_class": self.outcome,
            "attempt_count": len(self.runs),
            "first_attempt_failed": class_of(self.first) == "failed",
            "is_recovered": self.is_recovered,
            "started_on": self.started.date(),
            "started_at": self.started,
            "ended_at": None if self.outcome == "in_flight" else max(ends, default=None),
            "seconds_to_recover": recovery,
            "last_status": self.last["status"],
            "last_error": self.last_error,
            **{f"{name}_run_count": self.classes.count(name) for name in CLASSES},
        }


def find_root(run: Object, runs: Mapping[str, Object]) -> Object:
    """The head of a run's chain; of a circle of parents its earliest run."""
    path = [run]
    while (parent := runs.get(path[-1].get("parentIntegrationRunId") or "")) is not None:
        if parent in path:
            return min(path[path.index(parent) :], key=began)
        path.append(parent)
    return path[-1]


def find_deliveries(runs: Mapping[str, Object]) -> list[Delivery]:
    found: dict[tuple[Any, ...], Delivery] = {}
    for run in runs.values():
        delivery = Delivery(find_root(run, runs), [run])
        found.setdefault(delivery.key, Delivery(delivery.root, [])).runs.append(run)
    return list(found.values())


def count(deliveries: Iterable[Delivery]) -> Row:
    """Every count and rate of one row of the failure rates."""
    chosen = list(deliveries)
    outcomes = [each.outcome for each in chosen]
    runs = [name for each in chosen for name in each.classes]
    firsts = [class_of(each.first) for each in chosen]
    of, of_runs = outcomes.count, runs.count
    decided = of("succeeded") + of("failed")
    due = decided + of("blocked")
    first_decided = firsts.count("succeeded") + firsts.count("failed")
    recovered = sum(each.is_recovered for each in chosen)
    run_decided = of_runs("succeeded") + of_runs("failed")
    return {
        "delivery_count": len(chosen),
        **{f"{name}_delivery_count": of(name) for name in CLASSES},
        "decided_delivery_count": decided,
        **share("delivery_failure_rate", of("failed"), decided),
        "undelivered_delivery_count": of("failed") + of("blocked"),
        "due_delivery_count": due,
        **share("undelivered_rate", of("failed") + of("blocked"), due),
        "first_attempt_failed_count": firsts.count("failed"),
        "first_attempt_decided_count": first_decided,
        **share("first_attempt_failure_rate", firsts.count("failed"), first_decided),
        "recovered_count": recovered,
        **share("recovery_rate", recovered, firsts.count("failed")),
        "run_count": len(runs),
        **{f"{name}_run_count": of_runs(name) for name in CLASSES},
        "decided_run_count": run_decided,
        **share("run_failure_rate", of_runs("failed"), run_decided),
        "is_provisional": "in_flight" in outcomes,
    }


def daily(deliveries: list[Delivery]) -> list[Row]:
    groups: dict[tuple[Any, ...], list[Delivery]] = defaultdict(list)
    for each in deliveries:
        groups[each.started.date(), *each.kind].append(each)
    return [
        {"started_on": day, "entity_type": entity_type, "destination": destination}
        | {"is_sandbox": is_sandbox(destination)}
        | count(group)
        for (day, entity_type, destination), group in groups.items()
    ]


def windows(deliveries: list[Delivery], as_of: datetime) -> list[Row]:
    rows = []
    for entity_type, destination in {each.kind for each in deliveries}:
        group = [each for each in deliveries if each.kind == (entity_type, destination)]
        for name, days in WINDOWS.items():
            row: Row = {"window_name": name, "entity_type": entity_type}
            row |= {"destination": destination, "is_sandbox": is_sandbox(destination)}
            rate = "delivery_failure_rate"
            bounds = (f"{rate}_low", f"{rate}_high")
            compared = (rate, *bounds, "failed_delivery_count", "decided_delivery_count")
            if days is None:
                present, before = count(group), dict.fromkeys(compared)
            else:
                start = as_of - timedelta(days=days)
                earlier = start - timedelta(days=days)
                present = count(each for each in group if start < each.started <= as_of)
                before = count(each for each in group if earlier < each.started <= start)
            is_apart = None
            if present[rate] is not None and before[rate] is not None:
                is_apart = (
                    present[f"{rate}_low"] > before[f"{rate}_high"]
                    or present[f"{rate}_high"] < before[f"{rate}_low"]
                )
            previous = {f"previous_{each}": before[each] for each in compared}
            rows.append(row | present | previous | {"is_significant_change": is_apart})
    return rows


def bill_status(deliveries: list[Delivery], bills: Mapping[str, Object]) -> list[Row]:
    groups: dict[tuple[Any, ...], list[Delivery]] = defaultdict(list)
    for each in deliveries:
        if each.kind[0] == "Bill":
            groups[each.entity, *each.target].append(each)
    rows = []
    for (bill_id, destination, destination_id), group in groups.items():
        group.sort(key=lambda each: (each.started, each.root["id"]))
        newest, bill = group[-1], bills.get(bill_id, {})
        since = newest.started
        for each in reversed(group):
            if each.outcome != newest.outcome:
                break
            since = each.started
        successes = [at for each in group for at in each.successes]
        modified = instant(bill.get("dtLastModified"))
        row = {"bill_id": bill_id, "destination": destination, "destination_id": destination_id}
        row |= {
            "is_sandbox": is_sandbox(destination),
            "delivery_class": newest.outcome,
            "since": since,
            "attempt_count": len(newest.runs),
            "delivery_count": len(group),
            "last_error": newest.last_error,
            "bill_total": bill.get("billTotal"),
            "currency": bill.get("currency"),
            "is_stale_in_destination": (
                modified > max(successes) if modified and successes else None
            ),
        }
        rows.append(row)
    return rows


def undelivered(statuses: list[Row]) -> list[Row]:
    groups: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    since: dict[tuple[Any, ...], datetime] = {}
    for row in statuses:
        if row["delivery_class"] not in ("succeeded", "superseded"):
            key = row["currency"], row["destination"], row["delivery_class"]
            groups[key][row["bill_id"]] = row["bill_total"]
            since[key] = min(row["since"], since.get(key, row["since"]))
    return [
        {
            "currency": currency,
            "destination": destination,
            "delivery_class": name,
            "bill_count": len(totals),
            "bill_without_total_count": sum(total is None for total in totals.values()),
            "undelivered_amount": sum(totals.values()),
            "is_sandbox": is_sandbox(destination),
            "oldest_since": since[currency, destination, name],
        }
        for (currency, destination, name), totals in groups.items()
    ]


def _place_in_streak(delivery: Delivery) -> tuple[Any, ...]:
    """A success ends what failed at the same instant, that of a chain with several entities."""
    return delivery.started, delivery.outcome == "succeeded", *map(str, delivery.key)


def incidents(deliveries: list[Delivery]) -> list[Row]:
    rows = []
    for system in {(*each.kind, each.target[1]) for each in deliveries}:
        entity_type, destination, destination_id = system
        streak: list[Delivery] = []
        group = [each for each in deliveries if (*each.kind, each.target[1]) == system]
        for each in [*sorted(group, key=_place_in_streak), None]:
            if each and each.outcome == "failed":
                streak.append(each)
            elif streak and (each is None or each.outcome == "succeeded"):
                start, end = streak[0].started, each.successes[-1] if each else None
                rows.append(
                    {
                        "entity_type": entity_type,
                        "destination": destination,
                        "destination_id": destination_id,
                        "failed_delivery_count": len(streak),
                        "entity_count": len({one.entity for one in streak}),
                        "is_open": end is None,
                        "is_sandbox": is_sandbox(destination),
                        "started_at": start,
                        "last_failed_at": streak[-1].started,
                        "ended_at": end,
                        "seconds_to_recover": (end - start).total_seconds() if end else None,
                    }
                )
                streak = []
    return rows


def template(error: str | None) -> str:
    """The text with all that varies masked: addresses, quoted values, UUIDs, dates, numbers."""
    if error is None:
        return "(no text)"
    masks = {
        "<url>": r"https?://\S*[^\s.,;:)]",
        "<value>": r"'[^']*'",
        "<uuid>": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
        "<uuid> (<value>)": r"<uuid> \([^()]*\)",
        "<date>": r"\b\d{4}-\d\d-\d\d(?:T[\d:.]+Z?)?",
        "<number>": r"\b\w*\d\w*\b",
    }
    for mask, pattern in masks.items():
        error = re.sub(pattern, mask, error)
    return error


def stuck(runs: Mapping[str, Object], as_of: datetime) -> list[Row]:
    return [
        {
            "run_id": run["id"],
            "in_flight_seconds": (as_of - began(run)).total_seconds(),
            "is_sandbox": is_sandbox(run["destination"]),
        }
        for run in runs.values()
        if class_of(run) == "in_flight" and as_of - began(run) > timedelta(hours=24)
    ]


def quantile(values: list[float], part: float) -> float | None:
    """The value at a part of the way through, between two neighbours in proportion."""
    if not values:
        return None
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    low = ordered[int(place)]
    high = ordered[min(int(place) + 1, len(ordered) - 1)]
    return low + (high - low) * (place - int(place))


def durations(runs: Mapping[str, Object]) -> list[Row]:
    rows = []
    for entity_type, destination in {(r["entityType"], r["destination"]) for r in runs.values()}:
        queue, work = [], []
        for run in runs.values():
            if (run["entityType"], run["destination"]) == (entity_type, destination):
                start, end = instant(run.get("dtStarted")), completed(run)
                if start:
                    queue.append((start - datetime.fromisoformat(run["dtCreated"])).total_seconds())
                if start and end:
                    work.append((end - start).total_seconds())
        row: Row = {"entity_type": entity_type, "destination": destination}
        row |= {"started_run_count": len(queue), "completed_run_count": len(work)}
        for part in (50, 95, 99):
            row[f"p{part}_queue_seconds"] = quantile(queue, part / 100)
            row[f"p{part}_run_seconds"] = quantile(work, part / 100)
        rows.append(row | {"is_sandbox": is_sandbox(destination)})
    return rows
