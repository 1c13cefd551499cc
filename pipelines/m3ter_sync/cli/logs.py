"""The log on standard error: each line with its time, its level and its run, none with a secret.

ERROR: this run failed. WARNING: a person should look. INFO: a step. DEBUG: a request.
"""

import functools
import logging
import os
import re
import sys
import threading
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

import click

from m3ter_sync.redaction import redact, register_secret

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_LOG = logging.getLogger(__name__)
LOG_FORMAT_VARIABLE = "M3TER_SYNC_LOG_FORMAT"
# Those of dlt's destinations, among others.
_SECRET_VARIABLE = re.compile(r"(SECRET|PASSWORD|PASSWD|TOKEN|PRIVATE_KEY)(_|$)", re.IGNORECASE)


class _Handler(logging.Handler):
    """Writes to what is standard error now: a progress display may stand in for it."""

    run_id = ""
    is_json = False
    has_written = False

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON, or as lines of text that each begin alike.

        Overridden rather than set: dlt gives its own formatter to the handler that it finds.
        """
        try:
            record.getMessage()
        except Exception:  # noqa: BLE001 - a library's slip must not end what it tells of
            record.msg, record.args = f"{record.msg} {record.args!r}", None
        return self._to_json(record) if self.is_json else self._to_text(record)

    def emit(self, record: logging.LogRecord) -> None:
        self.has_written = True
        # A standard error that cannot be written to cannot be told of either.
        with suppress(OSError, ValueError):
            click.echo(self.format(record), err=True)

    def _to_json(self, record: logging.LogRecord) -> str:
        line = redact(_build_json_formatter(self.run_id).format(record))
        # Half a character, which a text that was cut may hold, is refused by readers of JSON.
        return line.encode(errors="replace").decode()

    def _to_text(self, record: logging.LogRecord) -> str:
        logger = "" if record.name.startswith("m3ter_sync") else f"{record.name}: "
        start = f"{_STAMP.formatTime(record)} {record.levelname} {self.run_id} {logger}"
        lines = redact(logging.Formatter().format(record)).splitlines() or [""]
        return "\n".join(start + _show(line) for line in lines)


@functools.cache
def _build_json_formatter(run_id: str) -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    names = {"asctime": "timestamp", "levelname": "level", "name": "logger"}
    formatter = JsonFormatter(
        ("asctime", "levelname", "name", "message"),
        rename_fields={**names, "exc_info": "traceback"},
        static_fields={"run_id": run_id},
        json_ensure_ascii=False,
    )
    return _in_utc(formatter)


def _in_utc(formatter: logging.Formatter) -> logging.Formatter:
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter


def _show(line: str) -> str:
    """The line without what would move a terminal's cursor or change its colours."""
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in line)


_STAMP = _in_utc(logging.Formatter())
_HANDLER = _Handler()


def begin_run() -> None:
    """Begins a run with an id of its own: all that is logged in this process carries it.

    dlt's lines, other libraries', Python's warnings and what ends a thread go the same way.
    """
    _HANDLER.run_id = str(uuid.uuid4())
    _HANDLER.has_written = False
    _HANDLER.is_json = os.environ.get(LOG_FORMAT_VARIABLE, "").lower() == "json"
    # dlt's logger hands nothing on to the root; it keeps the handler that it finds.
    for logger in (logging.getLogger(), logging.getLogger("dlt")):
        logger.addHandler(_HANDLER)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name):
            register_secret(value)


def set_up_logs(*, is_json: bool, is_verbose: bool = False, is_quiet: bool = False) -> None:
    """Says how a run logs, and how much.

    In a terminal people watch the progress, so only what they should know of is logged; in a
    log file each step is. Other libraries log what they find worth a warning.
    """
    _HANDLER.is_json = is_json
    usual = logging.WARNING if is_for_people() else logging.INFO
    level = logging.ERROR if is_quiet else logging.DEBUG if is_verbose else usual
    _HANDLER.setLevel(level)
    logging.getLogger("m3ter_sync").setLevel(level)


def current_run_id() -> str:
    """The id of the run; a sync's is `sync_id` in `m3ter_raw.syncs`."""
    return _HANDLER.run_id


def is_for_people() -> bool:
    """Whether somebody watches: standard error is a terminal, and not asked to be JSON."""
    # A program may be started without one.
    return sys.stderr is not None and sys.stderr.isatty() and not _HANDLER.is_json


def build_line(message: str, level: int = logging.INFO) -> str:
    """What is said whatever the level is: to people as it is, else as a line of the log."""
    if is_for_people():
        return redact(message)
    return _HANDLER.format(logging.LogRecord(__name__, level, "", 0, message, None, None))


def note(message: str) -> None:
    """Tells people something beside the answer; in JSON it is a line of the log."""
    click.echo(build_line(message.strip()) if _HANDLER.is_json else redact(message), err=True)


def log_failure(message: str, defect: BaseException | None = None) -> None:
    """Says as the last line why the run failed.

    Args:
        message: What happened, to what, and what to do.
        defect: An error that nobody foresaw: where it happened is worth more than a tidy screen.
    """
    if _HANDLER.is_json:
        _LOG.error("%s", message, exc_info=defect)
        return
    if defect:
        _LOG.error("This went wrong:", exc_info=defect)
    # Where lines of this run stand above, among those of others.
    run = f" (run {_HANDLER.run_id})" if _HANDLER.has_written and not is_for_people() else ""
    click.echo(f"Error: {redact(message)}{run}", err=True)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    _LOG.error("Failed", exc_info=(kind, error, traceback))


def _log_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value and args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "?"
        info = (args.exc_type, args.exc_value, args.exc_traceback)
        _LOG.error("The thread %s ended", name, exc_info=info)


def _log_unraisable(args: "UnraisableHookArgs") -> None:
    info = args.exc_value and (args.exc_type, args.exc_value, args.exc_traceback)
    _LOG.warning("%s %r", args.err_msg or "Ignored an error in", args.object, exc_info=info)
