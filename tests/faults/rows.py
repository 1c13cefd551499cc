"""What a fault test declares: its row of docs/reliability.md, which the test then proves."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

# What a sync may leave in the warehouse; each is proved by `Case.check`.
NOTHING = "nothing yet"
ALL = "every row"
OTHERS = "every row but that listing's"
COMPLETE = "what was complete"
BEFORE = "what it held before"


@dataclass(frozen=True)
class Fault:
    """A row of the table.

    Attributes:
        what: What goes wrong.
        sees: What the user sees on standard error; … stands for what varies. Empty: no error.
        exit_code: The program's.
        holds: What the warehouse holds after it.
        cause: What makes it go wrong, for the test.
        after: What it takes that the next sync comes right.
    """

    what: str
    sees: str = ""
    exit_code: int = 1
    holds: str = COMPLETE
    cause: Any = None
    after: str = "comes right"

    @property
    def pattern(self) -> str:
        """The error line as a regular expression."""
        return ".*".join(map(re.escape, self.sees.split("…")))


def declare(*faults: Fault) -> pytest.MarkDecorator:
    """Runs a test for each of these faults."""
    return pytest.mark.parametrize("fault", faults, ids=[fault.what for fault in faults])


def declared_faults(module: ModuleType) -> Iterator[Fault]:
    """The faults of a module's tests, in their order."""
    for function in vars(module).values():
        for mark in getattr(function, "pytestmark", []):
            if mark.name == "parametrize" and mark.args[0] == "fault":
                yield from mark.args[1]
