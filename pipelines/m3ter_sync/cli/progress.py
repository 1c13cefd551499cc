"""How far a sync is: drawn in a terminal, logged now and then where there is none."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from m3ter_sync.cli.logs import is_for_people

if TYPE_CHECKING:
    from rich.console import RenderableType

    from m3ter_sync.warehouse.sync import Monitor

_LOG = logging.getLogger(__name__)
_SECONDS_BETWEEN_LOG_LINES = 10.0
_SECONDS_OF_PACE = 5.0


@contextmanager
def show_progress(monitor: "Monitor") -> Iterator[None]:
    """Shows how far a sync is while the context lasts, on standard error."""
    progress = Progress(monitor)
    if is_for_people():
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, markup=False, highlight=False)
        with Live(
            get_renderable=progress.render, console=console, refresh_per_second=4, transient=True
        ):
            yield
        return
    done = threading.Event()

    def log_now_and_then() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOG_LINES):
            _LOG.info("%s", progress.describe())

    thread = threading.Thread(target=log_now_and_then, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Progress:
    """Reads a monitor, and works out the pace and the time left."""

    def __init__(self, monitor: "Monitor") -> None:
        self._monitor = monitor
        self._listing_since: float | None = None
        self._sent: deque[tuple[float, int]] = deque()

    def describe(self) -> str:
        """The phase and the figures, on one line."""
        phase, *figures = self._parts()
        return f"{phase}: {', '.join(figures)}" if figures else phase

    def render(self) -> "RenderableType":
        """The phase, a bar while entities are listed, and the figures."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        monitor = self._monitor
        phase, *figures = self._parts()
        grid = Table.grid(padding=(0, 2))
        bar = ProgressBar(
            total=monitor.entity_count or None,
            completed=monitor.tally.entities_listed,
            pulse=not monitor.entity_count,
            width=24,
        )
        grid.add_row(phase, bar)
        lines = Table.grid()
        lines.add_row(grid)
        lines.add_row(", ".join(figures))
        return lines

    def _parts(self) -> list[str]:
        monitor = self._monitor
        now = time.monotonic()
        listed, count = monitor.tally.entities_listed, monitor.entity_count
        is_stopping = monitor.stop.is_set()
        parts = ["Loading what is complete" if is_stopping else monitor.phase.capitalize()]
        if count:
            parts.append(f"{listed:,} of {count:,} entities")
            parts.append(f"{monitor.tally.fetched['integration_runs']:,} runs")
        if monitor.client:
            parts.append(f"{self._pace(now, monitor.client.statistics.requests):,.1f} requests/s")
        if count and self._listing_since is None:
            self._listing_since = now
        if listed and listed < count and self._listing_since is not None and not is_stopping:
            left = (now - self._listing_since) / listed * (count - listed)
            parts.append(f"{format_seconds(left)} left")
        return parts

    def _pace(self, now: float, requests: int) -> float:
        """Requests a second, of late."""
        sent = self._sent
        sent.append((now, requests))
        while now - sent[0][0] > _SECONDS_OF_PACE and len(sent) > 2:
            sent.popleft()
        seconds = now - sent[0][0]
        return (requests - sent[0][1]) / seconds if seconds else 0.0


def format_seconds(seconds: float) -> str:
    """A length of time: 0:07, 12:40, 3:05:00."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
