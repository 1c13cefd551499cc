"""Asks for the latest run of many entities in one request, and judges whether to believe it.

It is an optimization that must prove itself at run time: its answer's shape and size limit are
inferred (m3ter-api.md). An answer that cannot be right turns it off, and everything is listed:
that costs requests, never data.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from m3ter_sync.api import (
    EntityNotFound,
    M3terClient,
    M3terError,
    RequestRefused,
    Stopped,
    fetch_latest_integration_runs,
)
from m3ter_sync.source.fan_out import Entity

_LOG = logging.getLogger(__name__)
_IDS_PER_REQUEST = 100
_TOO_MANY_IDS = (400, 413, 414)


class UntrustworthyAnswer(Exception):
    """The answer cannot be the latest runs of the entities that were asked."""


@dataclass(slots=True)
class LatestRuns:
    """The latest run of each entity that the probe answered for; None where it has none."""

    runs: dict[Entity, dict[str, Any] | None] = field(default_factory=dict)
    is_trusted: bool = True


def probe_latest_runs(
    client: M3terClient, holds_runs: Mapping[Entity, bool], *, threads: int
) -> LatestRuns:
    """Asks for the latest run of each entity.

    Args:
        client: Speaks to the API.
        holds_runs: The entities to ask for, and whether any run of them is loaded: one that
            has runs and is missing from the answer proves the answer incomplete.
        threads: How many requests may be under way at once.

    Returns:
        No answers at all, and `is_trusted` false, where one of them cannot be right.
    """
    probe = _Probe(client, holds_runs)
    latest = LatestRuns()
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="probe") as pool:
            for answers in pool.map(probe.ask, _batches(holds_runs)):
                latest.runs.update(answers)
    except Stopped:
        raise
    except (M3terError, UntrustworthyAnswer) as error:
        _LOG.warning("The probe for changed entities is off, everything is listed: %s", error)
        return LatestRuns(is_trusted=False)
    return latest


def _batches(entities: Iterable[Entity]) -> Iterator[list[Entity]]:
    in_order = sorted(entities, key=lambda entity: entity.entity_type)
    for _, group in groupby(in_order, key=lambda entity: entity.entity_type):
        same_type = list(group)
        for start in range(0, len(same_type), _IDS_PER_REQUEST):
            yield same_type[start : start + _IDS_PER_REQUEST]


class _Probe:
    def __init__(self, client: M3terClient, holds_runs: Mapping[Entity, bool]) -> None:
        self._client = client
        self._holds_runs = holds_runs
        self._ids_per_request = _IDS_PER_REQUEST

    def ask(self, batch: Sequence[Entity]) -> dict[Entity, dict[str, Any] | None]:
        """Answers for a batch; in halves where the API takes fewer ids at once."""
        if len(batch) > self._ids_per_request:
            return self._ask_in_halves(batch)
        entity_type = batch[0].entity_type
        try:
            answer = fetch_latest_integration_runs(
                self._client, entity_type, [entity.entity_id for entity in batch]
            )
        except EntityNotFound:
            # One of them is gone; which one, its own listing tells.
            return {}
        except RequestRefused as error:
            if error.status not in _TOO_MANY_IDS or len(batch) == 1:
                raise
            self._ids_per_request = min(self._ids_per_request, len(batch) // 2)
            return self._ask_in_halves(batch)
        return self._judge(batch, answer)

    def _ask_in_halves(self, batch: Sequence[Entity]) -> dict[Entity, dict[str, Any] | None]:
        middle = (len(batch) + 1) // 2
        return {**self.ask(batch[:middle]), **self.ask(batch[middle:])}

    def _judge(self, batch: Sequence[Entity], answer: Any) -> dict[Entity, dict[str, Any] | None]:
        answers: dict[Entity, dict[str, Any] | None] = dict.fromkeys(batch)
        for run in _runs_of(answer):
            if not isinstance(run, dict) or not isinstance(run.get("id"), str):
                raise UntrustworthyAnswer("an answer to latest?ids= holds something else than runs")
            entity = Entity(str(run.get("entityType")), str(run.get("entityId")))
            if entity not in answers:
                raise UntrustworthyAnswer(f"latest?ids= answered for {entity}, which was not asked")
            if answers[entity] is not None:
                raise UntrustworthyAnswer(f"latest?ids= answered with two runs for {entity}")
            answers[entity] = run
        for entity, answered in answers.items():
            if answered is None and self._holds_runs[entity]:
                raise UntrustworthyAnswer(f"latest?ids= left out {entity}, which has runs")
        return answers


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
