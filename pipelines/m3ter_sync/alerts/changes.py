"""What changed since a channel was last told."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from m3ter_sync.alerts.findings import Finding, Kind, Verdict
from m3ter_sync.alerts.memory import ChannelMemory, Told

# Said where nothing is found any more of what was told.
_GONE = {
    Kind.CHECK: "{label} passes again",
    # A retry made the failures good: there was no incident after all.
    Kind.INCIDENT: "{label}: what failed has arrived after all",
    Kind.RATE: "{label}: nothing is known of it any more",
    Kind.COVER: "{label} is no event of the organization any more",
}


class Turn(StrEnum):
    """How something changed."""

    BEGAN = "began"
    CHANGED = "changed"
    PASSED = "passed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to tell.

    Attributes:
        turn: It began, goes on differently, came and went meanwhile, or ended.
        finding: As it is now.
        since: Since when it is so, or had been.
    """

    turn: Turn
    finding: Finding
    since: datetime | None


def compare(
    memory: ChannelMemory | None, findings: Sequence[Finding], known: Collection[Kind]
) -> tuple[list[Change], list[Told]]:
    """What to tell a channel, and what it knows then.

    Args:
        memory: What the channel was told; None: it never was.
        findings: What is so now.
        known: The kinds that could be looked at; of the others nothing is told, or forgotten.
    """
    changes: list[Change] = []
    told: list[Told] = []
    matched: set[int] = set()
    for held in memory.told if memory else ():
        if held.kind not in known:
            told.append(held)
            continue
        found = _find(held, findings)
        if found is None:
            changes.append(_end(held))
            continue
        matched.add(id(found))
        if found.verdict is Verdict.OVER:
            changes.append(Change(Turn.ENDED, found, held.since))
            continue
        is_changed = found.verdict is Verdict.OPEN and found.mark != held.mark
        if is_changed:
            changes.append(Change(Turn.CHANGED, found, found.since))
        told.append(
            replace(
                held, since=found.since or held.since, mark=found.mark if is_changed else held.mark
            )
        )
    for found in findings:
        if id(found) in matched:
            continue
        if found.verdict is Verdict.OPEN:
            changes.append(Change(Turn.BEGAN, found, found.since))
            told.append(_tell(found))
        elif _has_passed(found, memory):
            changes.append(Change(Turn.PASSED, found, found.since))
    return sorted(changes, key=_rank), told


def _find(held: Told, findings: Iterable[Finding]) -> Finding | None:
    """What became of something: of an incident, the streak that its first failure is in now."""
    for found in findings:
        if (found.kind, found.subject) != (held.kind, held.subject):
            continue
        if found.until is None or found.since is None or held.since is None:
            return found
        if found.since <= held.since <= found.until:
            return found
    return None


def _has_passed(found: Finding, memory: ChannelMemory | None) -> bool:
    """Whether it began and ended since the channel was last told."""
    if found.ended_at is None or memory is None or memory.as_of is None:
        return False
    return found.ended_at > memory.as_of


def _end(held: Told) -> Change:
    headline = _GONE.get(held.kind, "{label}: over").replace("{label}", held.label)
    found = Finding(
        kind=held.kind,
        subject=held.subject,
        verdict=Verdict.OVER,
        label=held.label,
        headline=headline,
    )
    return Change(Turn.ENDED, found, held.since)


def _tell(found: Finding) -> Told:
    return Told(
        kind=found.kind,
        subject=found.subject,
        label=found.label,
        since=found.since,
        mark=found.mark,
    )


def _rank(change: Change) -> tuple[int, int]:
    """The worst first: what needs someone, by kind, then what is over."""
    needs_someone = change.turn in (Turn.BEGAN, Turn.CHANGED)
    return (0 if needs_someone else 1, list(Kind).index(change.finding.kind))
