"""Ctrl-C and SIGTERM: the first ends the work cleanly, the second at once."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from m3ter_sync.cli.logs import build_line

_STOPPING = "Stopping: what is complete is loaded. Once more to end at once."
_SHOW_CURSOR = b"\x1b[?25h"


@dataclass(slots=True)
class Stop:
    """Whether a signal asked to stop, and which."""

    signal_number: int | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that this signal ended."""
        return 128 + (self.signal_number or signal.SIGINT)


@contextmanager
def stop_on_signals(request_stop: Callable[[], None]) -> Iterator[Stop]:
    """Calls `request_stop` at the first SIGINT or SIGTERM; the second ends the process."""
    stop = Stop()

    def handle(number: int, _: FrameType | None) -> None:
        # Straight to the descriptors: the code that was interrupted may be writing just now.
        if stop.signal_number is not None:
            if sys.stderr.isatty():
                os.write(2, _SHOW_CURSOR)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        stop.signal_number = number
        os.write(2, f"{build_line(_STOPPING, logging.WARNING)}\n".encode())
        request_stop()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
