"""A report of a made-up world, and a browser that opens it from disk.

The browser is the machine's own Chromium; `.ci/run` installs one where there is none.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.conftest import Warehouse

from m3ter_sync.sandbox import Sandbox, World, build_world
from m3ter_sync.warehouse.sync import Sync

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Without these it talks to its maker's servers on its own account.
QUIET = (
    "--disable-background-networking --disable-component-update --disable-sync --no-first-run "
    "--disable-gpu --disable-quic"
)


def find_browser() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_browser() is None:
        reason = "NO BROWSER: install chromium, or name one with CHROMIUM=/path/to/it"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@contextmanager
def open_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = [*QUIET.split(), *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        running = playwright.chromium.launch(executable_path=find_browser(), args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with open_browser() as running:
        yield running


class Visit:
    """A page in the browser, and whatever it did that it should not."""

    def __init__(self, context: BrowserContext, report: Path) -> None:
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on("request", self._note_request)
        self.page.goto(report.as_uri())
        self.page.wait_for_function(
            "[...document.querySelectorAll('[data-chart]')].every(each => each.dataset.drawn)"
        )

    def _note_request(self, request: object) -> None:
        address = getattr(request, "url", "")
        if not address.startswith("file:") or not address.split("#")[0].endswith("/report.html"):
            self.complaints.append(f"request {address}")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    contexts: list[BrowserContext] = []

    def open_report(report: Path, width: int = 1280, scheme: str = "light") -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        return Visit(context, report)

    yield open_report
    for context in contexts:
        context.close()


def run_demo(folder: Path) -> None:
    command = [sys.executable, "-c", "from m3ter_sync.cli import main; main()"]
    subprocess.run([*command, "demo", "--folder", folder], check=True, stdout=subprocess.DEVNULL)


def report_on(world: World, folder: Path) -> Path:
    with Sandbox(world) as sandbox:
        warehouse = Warehouse(sandbox, folder)
        location = warehouse.location
        Sync(warehouse.settings(), location).run()
    return location.published_report


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's report."""
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder)
    return folder / "published" / "report.html"


@pytest.fixture(scope="session")
def wide_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a world of many bills with long texts and long numbers."""
    now = datetime.now(UTC)
    world = build_world(now=now, bills=700, notifications=20, runs=4_000)
    for run in world.integration_runs.values():
        run |= {"status": "ERROR", "error": "The system could not be reached just now. " * 9}
    for bill in world.bills.values():
        bill["accountCode"] = "x" * 200
    return report_on(world, tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a world whose texts attack whoever shows them."""
    world = build_world(now=datetime.now(UTC), bills=40, notifications=20, runs=800)
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`${alert(3)}"
    for number, run in enumerate(world.integration_runs.values()):
        if run.get("error"):
            run["error"] = f"{attack} \u202e {'x' * (100_000 if number % 50 == 0 else 9)}"
        run["destination"] = f"{run['destination']} {attack}"
    for notification in world.notification_configurations.values():
        notification["name"] = attack
    return report_on(world, tmp_path_factory.mktemp("hostile"))
