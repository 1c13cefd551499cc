"""A small warehouse as a sync leaves it, changed by SQL, published, and reported on."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.conftest import Warehouse

from m3ter_sync.report import write_report
from m3ter_sync.sandbox import Sandbox, build_world
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.models import build_models
from m3ter_sync.warehouse.publish import publish


class Page(HTMLParser):
    """What a reader and a browser find in a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.source = path.read_text(encoding="utf-8")
        # Without the scripts at its end.
        self.markup = self.source[: self.source.index("</footer>")]
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self._silent = ""
        self.feed(self.source)
        self.text = re.sub(r"\s+", " ", " ".join(self.said))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._silent = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = ""

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.said.append(data)

    def count(self, tag: str) -> int:
        return sum(each == tag for each, _ in self.tags)

    def part(self, place: str) -> str:
        """The markup from a place on, to the next table or section."""
        start = self.markup.index(f'id="{place}"')
        return re.split(r'<section|class="rows"', self.markup[start + 4 :], maxsplit=1)[0]

    def read_chart(self, chart_id: str) -> Any:
        return json.loads(self.source.split(f'id="{chart_id}">')[1].split("</script>")[0])

    def rows_of(self, table_id: str) -> int:
        start = self.markup.index(f'id="{table_id}"')
        body = self.markup[start:].split("<tbody>", 1)[1].split("</tbody>", 1)[0]
        return body.count("<tr>")


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synced")
    world = build_world(now=datetime.now(UTC), bills=20, notifications=12, runs=300)
    with Sandbox(world) as sandbox:
        warehouse = Warehouse(sandbox, folder)
        warehouse.sync()
    return warehouse.location.database


@pytest.fixture(scope="session")
def page(synced: Path) -> Page:
    """The report on the warehouse as it is."""
    with Location.of(synced).connect() as connection:
        build_models(connection)
        database = publish(connection, synced.with_name("published")).database
    return Page(write_report(database, database.with_name("report.html")))


@pytest.fixture
def published(synced: Path, tmp_path: Path) -> Callable[..., Path]:
    """Publishes the warehouse after some SQL; what is published."""

    def make(*statements: str) -> Path:
        database = tmp_path / "warehouse.duckdb"
        shutil.copy(synced, database)
        with Location.of(database).connect() as connection:
            for statement in statements:
                connection.execute(statement)
            build_models(connection)
            return publish(connection, tmp_path / "published").database

    return make


@pytest.fixture
def report_on(published: Callable[..., Path]) -> Callable[..., Page]:
    """The report on the warehouse after some SQL."""

    def make(*statements: str) -> Page:
        database = published(*statements)
        return Page(write_report(database, database.with_name("report.html")))

    return make


@pytest.fixture
def read() -> Callable[[Page, str], list[tuple[object, ...]]]:
    """Asks the copy that a page is made of."""

    def ask(page: Page, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(page.path.with_name("m3ter.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    return ask
