"""Where the logs go, and how much of them."""

import logging
import sys
import time

import click


class _StderrHandler(logging.Handler):
    """Writes to what is standard error now: a progress display may stand in for it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            click.echo(self.format(record), err=True)
        except (OSError, ValueError):
            self.handleError(record)


def set_up_logs(*, is_verbose: bool = False, is_quiet: bool = False) -> None:
    """Sends the package's logs to standard error.

    In a terminal people watch the progress, so only what they should know of is logged; in a
    log file each step is.
    """
    usual = logging.WARNING if sys.stderr.isatty() else logging.INFO
    logger = logging.getLogger("m3ter_sync")
    logger.setLevel(logging.ERROR if is_quiet else logging.DEBUG if is_verbose else usual)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = _StderrHandler()
    handler.setFormatter(formatter)
    logger.handlers = [handler]
