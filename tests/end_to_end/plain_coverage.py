"""The coverage views a second time, in plain Python from the API's objects.

Written from the words of the definitions, not from the SQL: what both say is likely so.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from .plain_failures import Delivery, Object, Row, began, class_of, is_sandbox, share

STEPS = {
    "C1": "configured",
    "C2": "active",
    "C3": "deliverable",
    "C4": "unconditional",
    "C5": "proven",
}


def is_critical(event_type: str) -> bool:
    return bool(
        re.fullmatch(r"integration\..*\.error", event_type)
        or event_type in ("ingest.validation.failure", "dataexport.job.failure")
    )


def _place(delivery: Delivery) -> tuple[datetime, str, str, str]:
    """When it began; of a chain that reached several destinations all began at once."""
    destination, destination_id = delivery.target
    return delivery.started, delivery.root["id"], destination, destination_id or ""


def notifications(
    listed: Mapping[str, Object],
    deleted: Mapping[str, Object],
    links: Iterable[Object],
    event_types: Iterable[str],
    runs: Iterable[Object],
    deliveries: Iterable[Delivery],
    as_of: datetime,
) -> list[Row]:
    """One row per notification configuration that was ever listed."""
    all_links = [link for link in links if link["entityType"] == "Notification"]
    live = set(event_types)
    # Sandbox destinations stay out of every headline, and coverage is one.
    all_runs = [run for run in runs if not is_sandbox(run["destination"])]
    sent = [each for each in deliveries if not is_sandbox(each.kind[1])]
    rows = []
    for key, configuration in {**deleted, **listed}.items():
        own_runs = [run for run in all_runs if run["entityId"] == key]
        own = sorted((each for each in sent if each.entity == key), key=_place)
        terminal = [each for each in own if each.outcome not in ("in_flight", "unknown")]
        own_links = [link for link in all_links if link.get("entityId") == key]
        real = [link for link in own_links if not is_sandbox(link["destination"])]
        good = [link for link in real if link["enabled"] and link.get("authorized") is not False]
        recent = [run for run in own_runs if as_of - timedelta(days=28) < began(run) <= as_of]
        succeeded = [run for run in recent if class_of(run) == "succeeded"]
        outcomes = [each.outcome for each in own]
        decided = outcomes.count("succeeded") + outcomes.count("failed")
        event_name = configuration.get("eventName")
        is_active = key in listed and configuration["active"]
        holds = {
            "deleted": key not in listed,
            "inactive": not configuration["active"],
            "orphaned": event_name not in live,
            "unlinked": not real,
            "blocked": not good,
            "failing": bool(terminal) and terminal[-1].outcome == "failed",
            "silent": not recent,
            "delivering": True,
        }
        row: Row = {
            "notification_id": key,
            "event_name": event_name,
            "coverage_status": next(name for name, it_holds in holds.items() if it_holds),
            "link_count": len(real),
            "deliverable_link_count": len(good),
            "sandbox_link_count": len(own_links) - len(real),
            "run_count": len(own_runs),
            "recent_run_count": len(recent),
            "recent_succeeded_run_count": len(succeeded),
            "delivery_count": len(own),
            "failed_delivery_count": outcomes.count("failed"),
            "decided_delivery_count": decided,
            **share("delivery_failure_rate", outcomes.count("failed"), decided),
            "always_fires": configuration["alwaysFireEvent"],
            "is_deleted": key not in listed,
            "has_live_event_type": event_name in live,
            "is_active": is_active,
            "is_deliverable": is_active and bool(good),
            "is_unconditional": is_active and bool(good) and configuration["alwaysFireEvent"],
            "is_proven": is_active and bool(good) and bool(succeeded),
            "last_run_at": max(map(began, own_runs), default=None),
            "last_succeeded_at": max((at for each in own for at in each.successes), default=None),
        }
        rows.append(row)
    return rows


def events(event_types: Iterable[str], rows: list[Row]) -> list[Row]:
    """One row per live event type: how many notifications on it reach each step."""
    found = []
    for event_type in event_types:
        on_it = [r for r in rows if r["event_name"] == event_type and not r["is_deleted"]]
        counts = {
            "C1": len(on_it),
            "C2": sum(row["is_active"] for row in on_it),
            "C3": sum(row["is_deliverable"] for row in on_it),
            "C4": sum(row["is_unconditional"] for row in on_it),
            "C5": sum(row["is_proven"] for row in on_it),
        }
        found.append(
            {
                "event_type": event_type,
                "highest_step": max((step for step in STEPS if counts[step]), default=None),
                "notification_count": counts["C1"],
                "active_notification_count": counts["C2"],
                "deliverable_notification_count": counts["C3"],
                "unconditional_notification_count": counts["C4"],
                "proven_notification_count": counts["C5"],
                "is_critical": is_critical(event_type),
                **{f"is_{name}": counts[step] > 0 for step, name in STEPS.items()},
            }
        )
    return found


def summary(rows: list[Row]) -> list[Row]:
    """The ladder, over all event types and over the critical ones."""
    found = []
    for scope in ("all", "critical"):
        chosen = [row for row in rows if scope == "all" or row["is_critical"]]
        for step, name in STEPS.items():
            covered = sum(row[f"is_{name}"] for row in chosen)
            found.append(
                {
                    "step": step,
                    "step_name": name,
                    "scope": scope,
                    "covered_count": covered,
                    "event_type_count": len(chosen),
                    **share("coverage_rate", covered, len(chosen)),
                }
            )
    return found


def on_the_last_day(event_types: Iterable[str], listed: Mapping[str, Object]) -> list[Row]:
    """How the last sync saw each event type; links have no part in it."""
    found = []
    for event_type in event_types:
        on_it = [each for each in listed.values() if each.get("eventName") == event_type]
        active = [each for each in on_it if each["active"]]
        always = [each for each in active if each["alwaysFireEvent"]]
        found.append(
            {
                "event_type": event_type,
                "notification_count": len(on_it),
                "active_notification_count": len(active),
                "unconditional_notification_count": len(always),
                "is_critical": is_critical(event_type),
                "is_configured": bool(on_it),
                "is_active": bool(active),
                "is_unconditional_without_links": bool(always),
            }
        )
    return found
