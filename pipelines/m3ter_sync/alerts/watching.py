"""Looks at what alerts are about: how the syncs go, how old the data is, what the marts say."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from m3ter_sync.alerts.findings import Finding, Kind, Verdict
from m3ter_sync.alerts.memory import Memory
from m3ter_sync.alerts.words import plain
from m3ter_sync.report.published import COUNTED, Published, Row
from m3ter_sync.report.words import (
    join_words,
    say_count,
    say_duration,
    say_interval,
    say_money,
    say_rate,
    say_share,
    say_time,
)
from m3ter_sync.settings import AlertSettings

# An incident this long is told of however few deliveries it struck: where one bill a day is
# sent, one that failed is a day's.
_LONG = timedelta(days=1)
# The check that says what is told as stale.
_FRESHNESS = "freshness"


def find_in_syncs(memory: Memory) -> Iterator[Finding]:
    """Whether syncs fail, checks fail, or rows cannot be read."""
    failure = memory.failure
    yield Finding(
        kind=Kind.SYNC,
        subject="sync",
        verdict=Verdict.OPEN if failure else Verdict.OVER,
        label="The sync",
        headline="The sync fails" if failure else "The sync works again",
        details=(plain(failure.text, 400),) if failure else (),
        advice="m3ter-sync doctor",
        since=failure.since if failure else None,
        mark=failure.mark if failure else "",
    )
    for name, check in memory.checks.items():
        if name == _FRESHNESS:
            continue
        yield Finding(
            kind=Kind.CHECK,
            subject=name,
            verdict=Verdict.OPEN,
            label=f"Check {name}",
            headline=f"Check {name} fails",
            details=(
                f"It holds when all is well: {plain(check.text, 300)}",
                "Nothing is published until it passes: readers, and alerts on destinations and "
                "events, keep to the last good copy.",
            ),
            advice="m3ter-sync check",
            since=check.since,
        )
    rejected = memory.rejected
    yield Finding(
        kind=Kind.REJECTED,
        subject="rows",
        verdict=Verdict.OPEN if rejected else Verdict.OVER,
        label="Rows that cannot be read",
        headline=rejected.text if rejected else "Every row can be read again",
        details=("m3ter_raw.rejected_rows in the warehouse says which, and why.",)
        if rejected
        else (),
        advice="m3ter-sync status",
        since=rejected.since if rejected else None,
    )


def find_age(
    as_of: datetime | None, began_at: datetime, stale_after: timedelta, now: datetime
) -> Finding:
    """Whether the data is stale; before a sync succeeded it ages from the first look on."""
    # What lies as far in the future was dated by a clock that was wrong: it is no proof.
    age = abs(now - (as_of or began_at))
    is_stale = age > stale_after
    spoken = say_duration(age.total_seconds())
    return Finding(
        kind=Kind.STALE,
        subject="data",
        verdict=Verdict.OPEN if is_stale else Verdict.OVER,
        label="The data",
        headline=f"The data is stale: no new copy for {spoken}"
        if is_stale
        else "The data is fresh again",
        details=(
            f"A sync should succeed, and pass its checks, every "
            f"{say_duration(stale_after.total_seconds())} at least.",
        )
        if is_stale
        else (),
        advice="m3ter-sync status",
        since=as_of or began_at,
    )


def find_in_marts(
    published: Published, settings: AlertSettings, horizon: datetime | None
) -> Iterator[Finding]:
    """What the published copy says of destinations and of critical events.

    Args:
        published: The copy.
        settings: The limits.
        horizon: Incidents that ended later, or failed later, are found too; None: open ones alone.
    """
    missing = _say_missing(published)
    yield from _find_incidents(published, settings, horizon, missing)
    yield from _find_rates(published, settings, missing)
    yield from _find_uncovered(published)


def _find_incidents(
    published: Published,
    settings: AlertSettings,
    horizon: datetime | None,
    missing: dict[str | None, str],
) -> Iterator[Finding]:
    rows = published.rows(
        f"""
        select
            entity_type, destination, destination_id, failed_delivery_count, entity_count,
            last_error, is_open,
            started_at, last_failed_at, coalesce(ended_at, last_failed_at) as ended_at,
            ended_at is not null as is_end_known,
            (
                select count(distinct coalesce(destination_id, '')) > 1
                from integration_deliveries as others
                where others.destination is not distinct from incidents.destination
                    and others.entity_type is not distinct from incidents.entity_type
            ) as is_one_of_several
        from integration_incidents as incidents
        where {COUNTED}
            and (is_open or coalesce(ended_at, last_failed_at) > $1 or last_failed_at >= $1)
        order by failed_delivery_count desc, started_at, destination, entity_type, destination_id
        """,  # noqa: S608 - our own words
        horizon,
    )
    for row in rows:
        destination, what = _name(row)
        if row["is_one_of_several"] and row["destination_id"]:
            destination += f" {plain(row['destination_id'][:8])}"
        end = (published.as_of or row["last_failed_at"]) if row["is_open"] else row["ended_at"]
        is_big = (
            row["failed_delivery_count"] >= settings.alert_incident_deliveries
            or end - row["started_at"] > _LONG
        )
        struck = f"{say_count(row['failed_delivery_count'], 'delivery', 'deliveries')} failed"
        hit = f"{struck}; {say_count(row['entity_count'], what.removesuffix('s'), what)} hit"
        there = missing.get(row["destination"]) if row["entity_type"] == "Bill" else None
        if row["is_open"]:
            verdict = Verdict.OPEN if is_big else Verdict.HOLDING
            headline = f"{destination} is failing ({what})"
            details = [f"{hit}; none arrived since"]
        else:
            verdict = Verdict.OVER
            headline = f"{destination} works again ({what})"
            until = f"to {say_time(row['ended_at'])} UTC" if row["is_end_known"] else "for a while"
            took = say_duration((row["ended_at"] - row["started_at"]).total_seconds())
            span = f"It failed from {say_time(row['started_at'])} {until} ({took}): {hit}"
            details = [span]
        details += [there] if there else []
        if row["last_error"]:
            details.append(f'Last error: "{plain(row["last_error"])}"')
        yield Finding(
            kind=Kind.INCIDENT,
            subject=f"{_subject(row)} {row['destination_id'] or ''}".rstrip(),
            verdict=verdict,
            label=f"{destination} ({what})",
            headline=headline,
            details=tuple(details),
            advice="m3ter-sync query --name error_to_fix_first" if row["is_open"] else None,
            since=row["started_at"],
            until=row["last_failed_at"],
            ended_at=row["ended_at"] if is_big and not row["is_open"] else None,
        )


def _find_rates(
    published: Published, settings: AlertSettings, missing: dict[str | None, str]
) -> Iterator[Finding]:
    wanted = settings.alert_window_days
    days = min(published.settings["window_days"], key=lambda each: (abs(each - wanted), each))
    rows = published.rows(
        f"""
        select
            entity_type, destination,
            decided_delivery_count as decided, failed_delivery_count as failed,
            delivery_failure_rate as rate,
            delivery_failure_rate_low as low, delivery_failure_rate_high as high
        from integration_failure_rate
        where window_name = ? and {COUNTED}
        order by low desc nulls last, destination, entity_type
        """,  # noqa: S608 - our own words
        f"{days}d",
    )
    limit = settings.alert_failure_rate
    span = "in the last day" if days == 1 else f"in the last {days} days"
    for row in rows:
        destination, what = _name(row)
        if row["rate"] is None:
            verdict = Verdict.HOLDING
        elif row["low"] > limit and row["decided"] >= settings.alert_minimum_deliveries:
            verdict = Verdict.OPEN
        else:
            verdict = Verdict.HOLDING if row["rate"] > limit else Verdict.OVER
        is_over = verdict is Verdict.OVER
        rate = f"{say_rate(row['rate'])} of {what} {span}"
        there = missing.get(row["destination"]) if row["entity_type"] == "Bill" else None
        share = (
            f"{say_share(row['failed'], row['decided'])} decided deliveries failed "
            f"(95 % interval {say_interval(row['low'], row['high'])}; the limit is {limit:.4g})"
        )
        yield Finding(
            kind=Kind.RATE,
            subject=_subject(row),
            verdict=verdict,
            label=f"Failure rate of {destination} ({what})",
            headline=f"{destination} fails within the limit again: {rate}"
            if is_over
            else f"{destination} fails too often: {rate}",
            details=(share, *([there] if there and not is_over else [])),
            advice=None if is_over else "m3ter-sync query --name failure_rate_now",
        )


def _find_uncovered(published: Published) -> Iterator[Finding]:
    rows = published.rows(
        "select event_type, is_deliverable, notification_count, active_notification_count "
        "from event_coverage where is_critical order by event_type"
    )
    for row in rows:
        event = plain(row["event_type"])
        if row["is_deliverable"] is None:
            verdict = Verdict.HOLDING
        else:
            verdict = Verdict.OVER if row["is_deliverable"] else Verdict.OPEN
        if not row["notification_count"]:
            reason = "No notification listens to it"
        elif not row["active_notification_count"]:
            reason = "No notification on it is active"
        else:
            reason = "No active notification on it has a link that works"
        is_over = verdict is Verdict.OVER
        yield Finding(
            kind=Kind.COVER,
            subject=row["event_type"],
            verdict=verdict,
            label=event,
            headline=f"Someone would hear of {event} again"
            if is_over
            else f"Nobody would hear of {event}",
            details=() if is_over else (reason,),
            advice=None if is_over else "m3ter-sync query --name critical_events_unheard",
        )


def _say_missing(published: Published) -> dict[str | None, str]:
    """The bills that are not at a destination and need someone, with their money by currency."""
    rows = published.rows(
        f"""
        with bills as (
            select
                destination, bill_id,
                any_value(currency) as currency, any_value(bill_total) as bill_total
            from bill_delivery_status
            where delivery_class in ('failed', 'blocked') and {COUNTED}
            group by destination, bill_id
        )

        select
            destination, currency, count(*) as bill_count,
            count(*) filter (where bill_total is null or currency is null) as unknown_count,
            sum(bill_total) as amount
        from bills
        group by destination, currency
        order by destination, bill_count desc, currency
        """  # noqa: S608 - our own words
    )
    by_destination: dict[str | None, list[Row]] = {}
    for row in rows:
        by_destination.setdefault(row["destination"], []).append(row)
    said = {}
    for destination, each in by_destination.items():
        amounts = [
            f"{plain(row['currency'], 12)} {say_money(row['amount'], row['currency'])}"
            for row in each
            if row["currency"] and row["amount"] is not None
        ]
        if unknown := sum(row["unknown_count"] for row in each):
            amounts.append(f"{unknown:,} of unknown amount")
        count = say_count(sum(row["bill_count"] for row in each), "bill")
        said[destination] = f"Failed or blocked there now: {count}, {join_words(amounts, 5)}"
    return said


def _name(row: dict[str, Any]) -> tuple[str, str]:
    """A destination and what is sent there, in words."""
    return plain(row["destination"], 60), f"{plain(row['entity_type'], 30).lower()}s"


def _subject(row: dict[str, Any]) -> str:
    return f"{row['entity_type']} {row['destination']}"
