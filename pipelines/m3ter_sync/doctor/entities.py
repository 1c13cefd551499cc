"""Two inferences of ours about m3ter that are measured: entity ids, and the probe.

`entityId` of a notification's run is its configuration's id, and `latest?ids=` answers with the
latest run of each entity (m3ter-api.md has both as inferred). A wrong one costs requests.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb

from m3ter_sync.api import (
    AccessRefused,
    M3terClient,
    M3terError,
    RequestRefused,
    fetch_latest_integration_runs,
)
from m3ter_sync.doctor.findings import Finding, ok, problem, warning
from m3ter_sync.doctor.service import Visit, describe_refusal
from m3ter_sync.source import Entity
from m3ter_sync.source.probe import (
    TOO_MANY_IDS,
    HeldRuns,
    LatestRuns,
    UntrustworthyAnswer,
    judge_latest_runs,
    read_moment,
)
from m3ter_sync.source.tables import BILLS, NOTIFICATION_CONFIGURATIONS
from m3ter_sync.warehouse.location import Location, WarehouseError, fetch_rows
from m3ter_sync.warehouse.status import open_newest

_ASKED_AT_ONCE = 50
_ASKED_IF_TOO_MANY = 5
_LISTED = {"Bill": 2, "Notification": 1}


@dataclass(slots=True)
class Held:
    """What the warehouse, or else the published copy, holds of the entities.

    Attributes:
        source: Which of the two; None for neither.
        runs: Entities with the most runs first: their newest runs.
        counts: How many runs each has.
        matched: How many runs of notifications are of a configuration that is known.
        notification_runs: How many runs of notifications there are.
    """

    source: str | None = None
    runs: dict[Entity, HeldRuns] = field(default_factory=dict)
    counts: dict[Entity, int] = field(default_factory=dict)
    matched: int = 0
    notification_runs: int = 0


def read_held(location: Location) -> Held:
    """Reads it; nothing where there is no warehouse, or none that can be read."""
    held = Held()
    if not location.exists():
        return held
    with open_newest(location) as reading:
        if reading.connection is None:
            return held
        names = _NAMES[reading.source or ""]
        try:
            rows = fetch_rows(reading.connection, _NEWEST_RUNS.format(**names))
            (match,) = fetch_rows(reading.connection, _MATCHES.format(**names))
        except (duckdb.Error, WarehouseError):
            # Never loaded, of another version, or damaged: that is told elsewhere.
            return held
        for row in rows:
            entity = Entity(row["entity_type"], row["entity_id"])
            held.runs[entity] = HeldRuns(row["created_at"], row["started_at"])
            held.counts[entity] = row["run_count"]
        held.source = reading.source
        held.matched, held.notification_runs = match["matched"], match["run_count"]
    return held


_NAMES = {
    "warehouse": {
        "runs": "m3ter_raw.integration_runs",
        "created": "dt_created",
        "started": "dt_started",
        "known": "select id from m3ter_raw.notification_configurations",
    },
    "published": {
        "runs": "m3ter.integration_runs",
        "created": "created_at",
        "started": "started_at",
        "known": "select notification_id from m3ter.notification_coverage",
    },
}
_NEWEST_RUNS = """
select entity_type, entity_id, count(*) as run_count, max({created}) as created_at,
    max({started}) as started_at
from {runs}
where entity_id is not null and entity_type in ('Bill', 'Notification')
group by entity_type, entity_id
qualify row_number() over (partition by entity_type order by count(*) desc, entity_id) <= 20
order by run_count desc, entity_id
"""
_MATCHES = """
select count(*) as run_count, count(*) filter (where entity_id in ({known})) as matched
from {runs} where entity_type = 'Notification'
"""


@dataclass(slots=True)
class Probe:
    """What `latest?ids=` answered.

    Attributes:
        answers: By entity; only what can be believed.
        doubts: Why it cannot be.
        is_asked: Whether it was.
        most_ids: How many it takes at once, as far as is known.
    """

    answers: LatestRuns = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    is_asked: bool = False
    most_ids: int = _ASKED_AT_ONCE


def check_latest(visit: Visit, held: Held, probe: Probe) -> Iterator[Finding]:
    """Permission and shape of `latest?ids=`, one request for each type of entity."""
    for entity_type in _LISTED:
        name = f"integrationruns/{entity_type}/latest"
        entities = _candidates(visit, held, entity_type)
        if visit.client is None or not visit.is_let_in:
            continue
        if not entities:
            yield ok(name, f"not asked: there is no {entity_type.lower()} to ask for")
            continue
        probe.is_asked = True
        try:
            asked, answer = _ask(visit.client, entity_type, entities, probe)
            found = judge_latest_runs(asked, answer, held.runs)
        except AccessRefused as error:
            yield describe_refusal(name, error)
        except UntrustworthyAnswer as error:
            probe.doubts.append(str(error))
            yield warning(name, f"{error}", _LISTS_ALL)
        except RequestRefused as error:
            probe.doubts.append(str(error))
            yield warning(name, str(error), _LISTS_ALL)
        except M3terError as error:
            yield describe_refusal(name, error)
        else:
            probe.answers |= found
            runs = [run for run in found.values() if run]
            fewer = f"; {len(entities)} ids at once were too many" * (len(asked) < len(entities))
            yield ok(name, f"answers with {len(runs)} runs for {len(asked)} ids{fewer}")


_LISTS_ALL = "Nothing is lost: a sync then lists every entity, which costs requests. Report it."


def _candidates(visit: Visit, held: Held, entity_type: str) -> list[Entity]:
    """Entities to ask for: those that are held with the most runs, then those just listed."""
    table = BILLS if entity_type == "Bill" else NOTIFICATION_CONFIGURATIONS
    listed = [
        Entity(entity_type, row["id"])
        for row in visit.rows.get(table.name, [])
        if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"]
    ]
    known = [entity for entity in held.runs if entity.entity_type == entity_type]
    return list(dict.fromkeys([*known, *listed]))[:_ASKED_AT_ONCE]


def _ask(
    client: M3terClient, entity_type: str, entities: list[Entity], probe: Probe
) -> tuple[list[Entity], Any]:
    """Asks for all, or for few where m3ter takes no more at once, as a sync would."""
    asked = entities[: probe.most_ids]
    ids = [entity.entity_id for entity in asked]
    try:
        return asked, fetch_latest_integration_runs(client, entity_type, ids)
    except RequestRefused as error:
        if error.status not in TOO_MANY_IDS or len(asked) <= _ASKED_IF_TOO_MANY:
            raise
    probe.most_ids = _ASKED_IF_TOO_MANY
    return _ask(client, entity_type, entities, probe)


def choose_entities(visit: Visit, held: Held, probe: Probe) -> list[Entity]:
    """Whose runs to list: most telling are those of many runs, and one that the probe left out."""
    chosen: list[Entity] = []
    for entity_type, count in _LISTED.items():
        entities = _candidates(visit, held, entity_type)

        def rank(entity: Entity) -> tuple[int, bool]:
            # A run that retries another is not its entity's only one.
            latest = probe.answers.get(entity) or {}
            return -held.counts.get(entity, 0), not latest.get("parentIntegrationRunId")

        answered = sorted((each for each in entities if probe.answers.get(each)), key=rank)
        # The last in the listing are the oldest: they have had the time to be sent.
        silent = [each for each in reversed(entities) if not probe.answers.get(each)]
        left_out = sorted(silent, key=rank)
        # One of each, as far as there are both.
        best = [*answered[:1], *left_out[:1], *answered[1:], *left_out[1:]]
        chosen += best[:count]
    return chosen


def check_entity_ids(visit: Visit, held: Held) -> Iterator[Finding]:
    """The share of notifications' runs whose entityId is a configuration that is known."""
    if held.notification_runs:
        share = held.matched / held.notification_runs
        found = (
            f"{held.matched:,} of {held.notification_runs:,} runs of notifications ({share:.1%}) "
            "are of a configuration that is known"
        )
        where = "warehouse" if held.source == "warehouse" else "published copy"
        facts = {"matched": held.matched, "runs": held.notification_runs, "source": held.source}
        if held.matched == held.notification_runs:
            yield ok("entity ids", f"{found} ({where})", **facts)
        elif held.matched:
            yield warning("entity ids", f"{found} ({where})", _UNMATCHED, **facts)
        else:
            yield problem("entity ids", f"{found} ({where})", _UNMATCHED, **facts)
        return
    runs = [
        run
        for entity, listed in visit.runs.items()
        if entity.entity_type == "Notification"
        for run in listed
        if isinstance(run, dict)
    ]
    known = {entity.entity_id for entity in _candidates(visit, held, "Notification")}
    matched = sum(run.get("entityId") in known for run in runs)
    facts = {"matched": matched, "runs": len(runs), "source": "requests"}
    found = f"{matched} of {len(runs)} runs that were just listed are of a configuration"
    if not runs:
        yield ok("entity ids", "not measured: no run of a notification was seen", **facts)
    elif matched == len(runs):
        yield ok("entity ids", found, **facts)
    else:
        yield problem("entity ids", found, _UNMATCHED, **facts)


_UNMATCHED = (
    "Coverage (C5) and notification_coverage leave out runs that match none. If their "
    "notifications were not deleted before the first sync, report it."
)


def check_probe(visit: Visit, probe: Probe) -> Iterator[Finding]:
    """Compares the probe's answers with ordinary listings of the same entities."""
    if not probe.is_asked:
        return
    doubts = list(probe.doubts)
    compared = telling = 0
    for entity, runs in visit.runs.items():
        if entity not in probe.answers or not runs:
            continue
        compared += 1
        telling += len(runs) > 1
        latest = probe.answers[entity]
        if latest is None:
            doubts.append(f"it left out {entity}, which has runs")
        elif latest["id"] not in _newest_ids(runs):
            doubts.append(f"it answered for {entity} with a run that is not its newest")
    facts = {"compared": compared, "doubts": doubts}
    if doubts:
        yield warning("probe", f"not to be trusted: {'; '.join(doubts)}", _LISTS_ALL, **facts)
    elif telling:
        yield ok("probe", f"same run as in the listing for {compared} of {compared}", **facts)
    else:
        yield warning(
            "probe",
            f"not put to the test: none of {compared} entities listed has more than one run",
            "Run m3ter-sync doctor again after a sync: it then knows which to ask for.",
            **facts,
        )


def _newest_ids(runs: list[Any]) -> set[str]:
    """The ids of the run that was created last and of the one that started last.

    Which of the two is the latest is not documented.
    """
    newest: set[str] = set()
    rows = [run for run in runs if isinstance(run, dict)]
    for name in ("dtCreated", "dtStarted"):
        moments = {str(run.get("id")): read_moment(run, name) for run in rows}
        last = max((moment for moment in moments.values() if moment), default=None)
        newest |= {run_id for run_id, moment in moments.items() if moment == last}
    return newest
