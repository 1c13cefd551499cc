"""What a check says."""

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

_LOG = logging.getLogger(__name__)

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at; a stable name.
        level: `ok`; `warning`: it works, and may not for long, or costs more than it must;
            `problem`: a sync would fail, or its data could not be relied on.
        found: What was found, in a sentence.
        advice: What to do; None where that is nothing.
        is_configuration: Whether a setting, a credential or a permission is what is wrong.
        facts: The same for programs.
    """

    check: str
    level: Level
    found: str
    advice: str | None = None
    is_configuration: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON types."""
        return asdict(self)


def ok(check: str, found: str, **facts: Any) -> Finding:
    """All is well."""
    return Finding(check=check, level="ok", found=found, facts=facts)


def warning(check: str, found: str, advice: str, **facts: Any) -> Finding:
    """It works for now."""
    return Finding(check=check, level="warning", found=found, advice=advice, facts=facts)


def problem(check: str, found: str, advice: str | None = None, **facts: Any) -> Finding:
    """A sync would fail, or its data could not be relied on."""
    return Finding(check=check, level="problem", found=found, advice=advice, facts=facts)


def misconfigured(check: str, found: str, advice: str | None = None, **facts: Any) -> Finding:
    """A problem that a setting, a credential or a permission makes."""
    return Finding(
        check=check,
        level="problem",
        found=found,
        advice=advice,
        is_configuration=True,
        facts=facts,
    )


def run_check(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; that it failed itself is a finding too, and stops no other.

    The failure's own words are kept for `--verbose`: nobody can say what is in them.
    """
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - told, with its type and place
        _LOG.debug("The check %s failed.", name, exc_info=True)
        place = traceback.extract_tb(error.__traceback__)[-1]
        yield problem(
            name,
            f"the check itself failed: {type(error).__name__} in "
            f"{Path(place.filename).name}, line {place.lineno}",
            "This is a defect of m3ter-sync: report it with what --verbose shows.",
        )
