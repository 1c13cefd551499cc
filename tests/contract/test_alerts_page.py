"""docs/alerts.md shows each kind of message as it is sent, and URLs that Apprise knows."""

import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import apprise
import duckdb
from tests.unit.alerts.conftest import Desk
from tests.unit.models.conftest import AS_OF

from m3ter_sync.alerts.changes import compare
from m3ter_sync.alerts.findings import Finding, Kind
from m3ter_sync.alerts.memory import ChannelMemory, Memory, SyncNews
from m3ter_sync.alerts.messages import build_message, say_source
from m3ter_sync.alerts.watching import find_age, find_in_marts, find_in_syncs
from m3ter_sync.report.published import open_published
from m3ter_sync.settings import AlertSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"
BLOCK = re.compile(r"(<!-- generated: messages -->\n).*?(<!-- end -->)", re.DOTALL)
HOUR = timedelta(hours=1)


class Channel:
    """Someone who is told, step by step."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.memory = Memory(AS_OF)
        self.told = ChannelMemory(as_of=AS_OF)

    def look(self, now: datetime, news: SyncNews | None = None) -> Iterator[str]:
        """The message of this look, if there is one, as the page shows it."""
        if news:
            self.memory.learn(news, now)
        findings: list[Finding] = [*find_in_syncs(self.memory)]
        with open_published(self.desk.location.published_database) as published:
            findings.append(find_age(published.as_of, AS_OF, 26 * HOUR, now))
            findings += find_in_marts(published, AlertSettings(), self.told.as_of)
            as_of = published.as_of
        changes, told = compare(self.told, findings, frozenset(Kind))
        self.told = ChannelMemory(told, as_of)
        if changes:
            message = build_message(
                changes,
                is_first=False,
                is_all_over=not told,
                footer=say_source(as_of, "/srv/m3ter/data/warehouse.duckdb on etl-1"),
                now=now,
            )
            yield f"```text\n{message.title}\n\n{message.body}\n```\n"


def render_messages() -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with duckdb.connect(path / "warehouse.duckdb") as connection:
            connection.execute("set TimeZone = 'UTC'")
            return "\n".join(play(Desk(path, connection)))


def play(desk: Desk) -> Iterator[str]:
    """A few bad days, in which all that can be told is told."""
    channel = Channel(desk)
    began = {"_dlt_valid_from": AS_OF - 99 * HOUR}
    event = "integration.perform.error"
    desk.raw.add("event_types", began | {"name": event})
    desk.raw.add(
        "notification_configurations",
        began | {"id": "n", "name": "n", "code": "n", "event_name": event, "active": True},
    )
    link = {"id": "l", "entity_type": "Notification", "entity_id": "n", "destination_id": "w"}
    desk.raw.add(
        "integration_configurations", began | link | {"destination": "WEBHOOK", "enabled": True}
    )
    desk.add_deliveries("." * 9, AS_OF - 20 * HOUR)
    desk.publish()
    yield from channel.look(AS_OF + HOUR / 6, SyncNews(failed_checks={}))
    # An incident, a rate, and the one who would have been told.
    desk.add_deliveries("x" * 12, AS_OF, step=HOUR / 4)
    for number, (total, currency) in enumerate([("1840.5", "EUR"), ("920", "USD")]):
        bill_id = f"bill {(AS_OF + number * HOUR / 4).isoformat()}"
        desk.raw.add("bills", {"id": bill_id, "bill_total": total, "currency": currency})
    desk.publish(AS_OF + 3 * HOUR)
    yield from channel.look(desk.now)
    desk.change("update m3ter_raw.integration_configurations set enabled = false")
    desk.publish(AS_OF + 4 * HOUR)
    yield from channel.look(desk.now)
    error = (
        'POST /oauth/token: m3ter answered 401 "Unauthorized". Check access_key_id and api_secret'
    )
    failure = SyncNews(error=error, error_kind="CredentialsRefused")
    yield from channel.look(AS_OF + 5 * HOUR, failure)
    yield from channel.look(AS_OF + 31 * HOUR, failure)
    # It works again; a check does not pass, and rows cannot be read.
    desk.publish(AS_OF + 33 * HOUR)
    meaning = "Every status of a run is in status_class."
    checks = SyncNews(failed_checks={"statuses_known": meaning}, rejected_count=2)
    yield from channel.look(desk.now, checks)
    desk.add_deliveries("." * 99, AS_OF + 33 * HOUR, step=HOUR / 60)
    desk.add_deliveries("xxx.", AS_OF + 33 * HOUR, destination="XERO", step=HOUR / 6)
    desk.change("update m3ter_raw.integration_configurations set enabled = true")
    desk.publish(AS_OF + 36 * HOUR)
    yield from channel.look(desk.now, SyncNews(failed_checks={}))


def render(text: str) -> str:
    return BLOCK.sub(lambda found: found[1] + render_messages() + found[2], text)


def test_the_page_shows_the_messages_as_they_are_sent() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == 1
    assert render(text) == text, "run `make docs`"


def test_the_page_says_of_each_kind_when_it_is_told() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for kind in Kind:
        assert f"\n| {kind} |" in text, kind


def test_apprise_knows_the_urls_of_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8").split("## What is told")[0]
    urls = re.findall(r"`([a-z]+://[^`…]{4,})`", text)
    services = {}
    for url in urls:
        service = apprise.Apprise.instantiate(url)
        assert service is not None, url
        services[url.split(":")[0]] = service.service_name
    assert services["https"] == services["slack"] == "Slack"
    assert {"workflows", "mailtos", "pagerduty", "jsons", "mmosts"} <= services.keys()


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit()
