"""`m3ter-sync alerts`: tells people what changed, and tries whether they can be reached."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from m3ter_sync.cli.errors import ExitCode, describe
from m3ter_sync.cli.options import database_option, destination_option
from m3ter_sync.cli.program import Command

if TYPE_CHECKING:
    from m3ter_sync.alerts import Delivery, SyncNews
    from m3ter_sync.settings import AlertSettings
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.summary import SyncSummary

_LOG = logging.getLogger(__name__)


@click.group("alerts")
def alerts() -> None:
    """Tell people what changed, through Slack, Teams, mail, PagerDuty, webhooks."""


@alerts.command("test", cls=Command)
def test() -> None:
    """Send a test message to every alert URL; exit 1 if one did not go."""
    import socket

    from m3ter_sync.alerts import send_test

    deliveries = send_test(_load_settings().urls, f"From {socket.gethostname()}.")
    for delivery in deliveries:
        click.echo(
            f"FAILED  {delivery.channel}: {delivery.failure}."
            if delivery.failure
            else f"sent    {delivery.channel}"
        )
    if any(delivery.failure for delivery in deliveries):
        raise Exit(ExitCode.FAILED)


@alerts.command("send", cls=Command)
@database_option
@destination_option
def send(database: Path | None, destination: str | None) -> None:
    """Tell what changed since the last message, without a sync.

    On a schedule of its own it tells that data is stale when syncs stopped altogether. It reads
    the published copy, so it also works while a sync runs.
    """
    from m3ter_sync.alerts import tell
    from m3ter_sync.warehouse.location import Location

    location = Location.of(database, destination)
    deliveries = tell(location, _load_settings(), now=datetime.now(UTC))
    _report(deliveries)
    if any(delivery.failure for delivery in deliveries):
        raise Exit(ExitCode.FAILED)
    sent = ", ".join(delivery.channel for delivery in deliveries)
    click.echo(f"Told {sent}." if sent else "Nothing changed; nothing was sent.")


def tell_of_sync(
    location: "Location | None",
    summary: "SyncSummary | None",
    *,
    is_wanted: bool,
    is_whole: bool,
    error: Exception | None = None,
) -> None:
    """Tells how a sync went and what it brought; whatever goes wrong in that is only logged."""
    if not is_wanted or location is None or _is_no_news(summary, error):
        return
    from m3ter_sync.settings import load_alert_settings

    try:
        settings = load_alert_settings()
        if not settings.urls:
            return
        from m3ter_sync.alerts import tell

        news = _build_news(summary, is_whole=is_whole, is_checked=location.is_readable, error=error)
        now = datetime.now(UTC)
        _report(tell(location, settings, now=now, news=news))
    except Exception as failure:  # noqa: BLE001 - alerts never fail a sync
        # Where no setting can be read, the sync says so itself.
        if error is None or describe(failure) != describe(error):
            _LOG.warning("Alerts were not sent: %s", describe(failure))


def _is_no_news(summary: "SyncSummary | None", error: Exception | None) -> bool:
    """A sync that was stopped, or left another to its work, did neither fail nor succeed."""
    from m3ter_sync.warehouse.location import WarehouseBusy

    return isinstance(error, WarehouseBusy) or bool(summary and summary.outcome == "stopped")


def _build_news(
    summary: "SyncSummary | None",
    *,
    is_whole: bool,
    is_checked: bool,
    error: Exception | None,
) -> "SyncNews":
    from m3ter_sync.alerts import SyncNews
    from m3ter_sync.warehouse.sql_files import read_header, sql_folder

    if error or summary is None:
        kind = type(error).__name__
        return SyncNews(error=describe(error or Exception()), error_kind=kind, is_whole=is_whole)
    folder = sql_folder() / "checks"
    checks = {
        name: " ".join(read_header((folder / f"{name}.sql").read_text()))
        for name in summary.failed_checks
    }
    return SyncNews(
        is_whole=is_whole,
        failed_checks=checks if is_checked else None,
        rejected_count=summary.rejected_count,
    )


def _load_settings() -> "AlertSettings":
    from m3ter_sync.settings import SettingsError, load_alert_settings

    settings = load_alert_settings()
    if not settings.urls:
        raise SettingsError(
            "Missing: alert_urls. Set SOURCES__M3TER__ALERT_URLS in the environment, or "
            "alert_urls under [sources.m3ter] in .dlt/secrets.toml."
        )
    return settings


def _report(deliveries: "Sequence[Delivery]") -> None:
    for delivery in deliveries:
        if delivery.failure:
            _LOG.warning(
                "No alert went to %s: %s. It is tried again the next time.",
                delivery.channel,
                delivery.failure,
            )
        else:
            _LOG.info("Told %s", delivery.channel)
