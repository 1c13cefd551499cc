"""A warehouse of a few rows, published, and a receiver of what is told of it."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pytest_httpserver import HTTPServer
from tests.unit.models.conftest import AS_OF, RawWarehouse
from werkzeug import Request, Response

from m3ter_sync.alerts import Delivery, SyncNews, tell
from m3ter_sync.settings import AlertSettings
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.publish import publish

Message = dict[str, Any]
SECRET = "hush-hush"


class Receiver:
    """What a webhook was sent since it was last asked; it may be told to refuse."""

    def __init__(self, server: HTTPServer, path: str) -> None:
        self.status = 200
        self._messages: list[Message] = []
        self.url = f"json://user:{SECRET}@127.0.0.1:{server.port}{path}"
        server.expect_request(path, method="POST").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        if self.status == 200:
            self._messages.append(request.get_json())
        return Response(status=self.status)

    def take(self) -> list[Message]:
        taken, self._messages = self._messages, []
        return taken

    def take_one(self) -> Message:
        (message,) = self.take()
        return message


class Desk:
    """A warehouse at its place, and who is told of it."""

    def __init__(self, folder: Path, connection: duckdb.DuckDBPyConnection, *urls: str) -> None:
        self.raw = RawWarehouse(connection)
        self.location = Location.of(folder / "data" / "warehouse.duckdb")
        self.memory = self.location.folder / "warehouse.alerts.json"
        self.urls = list(urls)
        self.settings: dict[str, Any] = {}
        self.model_settings: dict[str, object] = {}
        self.now = AS_OF + timedelta(minutes=6)

    def add_deliveries(
        self, statuses: str, start: datetime, *, step: timedelta = timedelta(hours=1), **more: Any
    ) -> None:
        """One delivery a step, each of a bill of its own: `.` arrived, `x` failed."""
        destination = more.get("destination", "NETSUITE")
        runs = []
        for number, status in enumerate(statuses):
            began = start + number * step
            runs.append(
                {
                    "id": f"{destination} {began.isoformat()}",
                    "entity_id": f"bill {began.isoformat()}",
                    "status": "ERROR" if status == "x" else "COMPLETE",
                    "error": "INVALID_LOGIN: token expired" if status == "x" else None,
                    "dt_started": began,
                    "dt_completed": began + timedelta(minutes=1),
                }
                | more
            )
        self.raw.add_runs(*runs)

    def change(self, sql: str) -> None:
        self.raw.connection.execute(sql)

    def publish(self, as_of: datetime | None = None) -> None:
        """What a sync that succeeded leaves for readers."""
        if as_of:
            self.now = as_of + timedelta(minutes=6)
        self.raw.add_sync(as_of or AS_OF)
        self.raw.build(**self.model_settings)
        publish(self.raw.connection, self.location.published_folder)

    def tell(
        self, news: SyncNews | None = None, destination: str | None = None, **more: Any
    ) -> list[Delivery]:
        settings = AlertSettings()
        settings.alert_urls = ", ".join(self.urls)
        for name, value in self.settings.items():
            setattr(settings, name, value)
        settings.check()
        location = replace(self.location, destination=destination)
        return tell(location, settings, now=self.now, news=news, **more)


@pytest.fixture
def open_receiver(httpserver: HTTPServer) -> Callable[[str], Receiver]:
    return functools.partial(Receiver, httpserver)


@pytest.fixture
def receiver(open_receiver: Callable[[str], Receiver]) -> Receiver:
    return open_receiver("/token-of-the-hook")


@pytest.fixture
def desk(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    # Publication looks for the name of the database in its path.
    with duckdb.connect(tmp_path / "warehouse.duckdb") as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield Desk(tmp_path, connection, receiver.url)
