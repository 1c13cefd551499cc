"""Several changes as one message that a person on a phone understands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from m3ter_sync.alerts.changes import Change, Turn
from m3ter_sync.report.words import say_duration, say_time

# More does no one read on a phone, nor fits into Discord's 2,000 characters.
_MOST_CHANGES = 10
_LENGTH = 1700

Tone = Literal["failure", "info", "success"]


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is sent.

    Attributes:
        tone: failure: something needs someone; info: something is over; success: and nothing
            else is open.
    """

    title: str
    body: str
    tone: Tone


def build_message(
    changes: Sequence[Change],
    *,
    is_first: bool,
    is_all_over: bool,
    footer: str,
    now: datetime,
) -> Message:
    """One message of all changes, the worst first.

    Args:
        changes: At least one.
        is_first: The channel was never told anything: it is what is open now, not what changed.
        is_all_over: Nothing that was told is open any more.
        footer: Of when the data is, in which warehouse.
        now: The time.
    """
    needs_someone = any(change.turn in (Turn.BEGAN, Turn.CHANGED) for change in changes)
    first = _headline(changes[0])
    title = first if len(changes) == 1 else f"{first}, and {len(changes) - 1} more"
    head = []
    if is_first:
        if len(changes) > 1:
            title = f"{len(changes):,} things are open: {title}"
        head = ["Alerts begin here. This is what is open now; from now on changes are told."]
    blocks: list[str] = []
    for change, next_one in zip(changes, [*changes[1:], None], strict=True):
        # One after the other of a kind has one command; a single change is the title.
        lines = _describe(change, now)
        if _advice(change) and _advice(change) != (next_one and _advice(next_one)):
            lines.append(f"See: {_advice(change)}")
        if len(changes) == 1:
            del lines[0]
        block = "\n".join(lines)
        if len(blocks) == _MOST_CHANGES or sum(map(len, [*blocks, block])) > _LENGTH:
            break
        blocks.append(block)
    if left := len(changes) - len(blocks):
        blocks.append(f"… and {left:,} more: m3ter-sync report")
    body = "\n\n".join(filter(None, [*head, *blocks, footer]))
    tone: Tone = "failure" if needs_someone else "success" if is_all_over else "info"
    return Message(f"m3ter-sync: {title}", body, tone)


def say_source(as_of: datetime | None, place: str) -> str:
    """Of when the data is, and which warehouse on which machine holds it."""
    when = f"Data as of {say_time(as_of)} UTC" if as_of else "No sync has succeeded yet"
    return f"{when}. {place}"


def build_test(place: str) -> Message:
    """What `m3ter-sync alerts test` sends."""
    return Message(
        "m3ter-sync: a test", f"If you can read this, alerts arrive here. {place}", "info"
    )


def _headline(change: Change) -> str:
    finding = change.finding
    if change.turn is Turn.CHANGED:
        return f"{finding.headline}, now of something else"
    if change.turn is Turn.PASSED:
        return f"{finding.label} failed, and works again"
    return finding.headline


def _advice(change: Change) -> str | None:
    return change.finding.advice if change.turn in (Turn.BEGAN, Turn.CHANGED) else None


def _describe(change: Change, now: datetime) -> list[str]:
    finding = change.finding
    lines = [f"- {_headline(change)}"]
    if change.since and change.turn is not Turn.PASSED:
        lasted = say_duration(max(0.0, (now - change.since).total_seconds()))
        if change.turn is not Turn.ENDED:
            lines.append(f"Since {say_time(change.since)} UTC ({lasted})")
        elif finding.until is None:
            lines.append(f"It began {say_time(change.since)} UTC, {lasted} ago")
    return [*lines, *finding.details]
