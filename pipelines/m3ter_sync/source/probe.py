"""Asks for the latest run of many entities in one request, and judges whether to believe it.

It is an optimization that must prove itself at run time: its answer's shape and size limit are
inferred (m3ter-api.md). An answer that cannot be right turns it off, and everything is listed:
that costs requests, never data.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http import HTTPStatus
from itertools import groupby
from typing import Any, NamedTuple

from m3ter_sync.api import (
    M3terClient,
    M3terError,
    RequestRefused,
    Stopped,
    fetch_latest_integration_runs,
)
from m3ter_sync.source.fan_out import Entity
from m3ter_sync.source.parsing import UnreadableValue, parse_datetime

_LOG = logging.getLogger(__name__)
_IDS_PER_REQUEST = 100
TOO_MANY_IDS = (400, 413, 414)


class UntrustworthyAnswer(Exception):
    """The answer cannot be the latest runs of the entities that were asked."""


class HeldRuns(NamedTuple):
    """The newest of the runs that are loaded of an entity: by creation, and by start."""

    created_at: datetime | None
    started_at: datetime | None


LatestRuns = dict[Entity, dict[str, Any] | None]
"""The latest run of each entity that the probe answered for; None where it has none."""


def probe_latest_runs(
    client: M3terClient, held: Mapping[Entity, HeldRuns | None], *, threads: int
) -> LatestRuns:
    """Asks for the latest run of each entity.

    Args:
        client: Speaks to the API.
        held: The entities to ask for, and what is loaded of them; None where that is nothing.
        threads: How many requests may be under way at once.

    Returns:
        Only what can be believed: nothing at all where one of the answers cannot be right. That
        an entity was left out means that it has no runs as long as all were answered for that
        are known to have some.
    """
    probe = _Probe(client, held)
    answers: LatestRuns = {}
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="probe") as pool:
            for some in pool.map(probe.ask, _batches(held)):
                answers.update(some)
    except Stopped:
        raise
    except (M3terError, UntrustworthyAnswer) as error:
        _LOG.warning("The probe for changed entities is off, everything is listed: %s", error)
        return {}
    with_runs = [entity for entity, runs in held.items() if runs]
    unanswered = [entity for entity in with_runs if not answers.get(entity)]
    if unanswered:
        _LOG.warning(
            "The probe for changed entities left out %d that have runs, %s for one; they are "
            "listed, and so are those that are not known to have any.",
            len(unanswered),
            unanswered[0],
        )
    if unanswered or not with_runs:
        return {entity: run for entity, run in answers.items() if run}
    return answers


def read_moment(run: Mapping[str, Any], field: str) -> datetime | None:
    """One of a run's times; None where there is none that can be read."""
    value = run.get(field)
    try:
        return parse_datetime(value) if isinstance(value, str) else None
    except (UnreadableValue, OverflowError):
        return None


def _batches(entities: Iterable[Entity]) -> Iterator[list[Entity]]:
    in_order = sorted(entities, key=lambda entity: entity.entity_type)
    for _, group in groupby(in_order, key=lambda entity: entity.entity_type):
        same_type = list(group)
        for start in range(0, len(same_type), _IDS_PER_REQUEST):
            yield same_type[start : start + _IDS_PER_REQUEST]


class _Probe:
    def __init__(self, client: M3terClient, held: Mapping[Entity, HeldRuns | None]) -> None:
        self._client = client
        self._held = held
        self._ids_per_request = _IDS_PER_REQUEST

    def ask(self, batch: Sequence[Entity]) -> LatestRuns:
        """Answers for a batch; in halves where the API takes fewer ids at once."""
        if len(batch) > self._ids_per_request:
            return self._ask_in_halves(batch)
        entity_type = batch[0].entity_type
        try:
            answer = fetch_latest_integration_runs(
                self._client, entity_type, [entity.entity_id for entity in batch]
            )
        except RequestRefused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                # One of them may be gone; which one, its own listing tells.
                return {}
            if error.status not in TOO_MANY_IDS or len(batch) == 1:
                raise
            self._ids_per_request = min(self._ids_per_request, len(batch) // 2)
            return self._ask_in_halves(batch)
        return judge_latest_runs(batch, answer, self._held)

    def _ask_in_halves(self, batch: Sequence[Entity]) -> LatestRuns:
        middle = (len(batch) + 1) // 2
        return {**self.ask(batch[:middle]), **self.ask(batch[middle:])}


def judge_latest_runs(
    batch: Iterable[Entity], answer: Any, held: Mapping[Entity, HeldRuns | None]
) -> LatestRuns:
    """Reads an answer for some entities; None for those that it leaves out.

    Raises:
        UntrustworthyAnswer: it cannot be their latest runs.
    """
    answers: LatestRuns = dict.fromkeys(batch)
    for run in _runs_of(answer):
        if not isinstance(run, dict) or not isinstance(run.get("id"), str):
            raise UntrustworthyAnswer("an answer to latest?ids= holds something else than runs")
        entity = Entity(str(run.get("entityType")), str(run.get("entityId")))
        if entity not in answers:
            raise UntrustworthyAnswer(f"latest?ids= answered for {entity}, which was not asked")
        if answers[entity] is not None:
            raise UntrustworthyAnswer(f"latest?ids= answered with two runs for {entity}")
        if _is_outdated(run, held.get(entity)):
            raise UntrustworthyAnswer(f"latest?ids= answered with an old run for {entity}")
        answers[entity] = run
    return answers


def _is_outdated(run: Mapping[str, Any], held: HeldRuns | None) -> bool:
    """Whether an answer was created and started before others, so that it is in no way the latest.

    Which of the two times decides is not documented.
    """
    if held is None or held.created_at is None or held.started_at is None:
        return False
    created_at, started_at = read_moment(run, "dtCreated"), read_moment(run, "dtStarted")
    if created_at is None or started_at is None:
        return False
    return created_at < held.created_at and started_at < held.started_at


def _runs_of(answer: Any) -> list[Any]:
    """The runs in an answer: one object, a list, or `{"data": [...]}`."""
    if isinstance(answer, dict) and isinstance(answer.get("data"), list):
        answer = answer["data"]
    if isinstance(answer, dict):
        return [answer] if answer else []
    if isinstance(answer, list):
        return answer
    if answer is None:
        return []
    raise UntrustworthyAnswer("an answer to latest?ids= is neither an object nor a list")
