"""The commands that tell people what changed, against a sandbox that moves on."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from m3ter_sync.sandbox import Sandbox, World
from m3ter_sync.warehouse.location import Location

from .conftest import Run, settings_of

SECRETS = ("hush-hush", "token-of-the-hook")


class Hook:
    """A webhook, and what it was told since it was last asked."""

    def __init__(self, server: HTTPServer) -> None:
        self.status = 200
        self._told: list[dict[str, Any]] = []
        self.url = f"json://user:{SECRETS[0]}@127.0.0.1:{server.port}/{SECRETS[1]}"
        server.expect_request(f"/{SECRETS[1]}").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        if self.status == 200:
            self._told.append(request.get_json())
        return Response(status=self.status)

    def titles(self) -> list[str]:
        titles = [each["title"].removeprefix("m3ter-sync: ") for each in self._told]
        self._told = []
        return titles


@pytest.fixture
def hook(httpserver: HTTPServer) -> Hook:
    return Hook(httpserver)


@pytest.fixture
def say(run: Run, hook: Hook) -> Run:
    """Runs a command with the hook as its alert URL; no secret is in what it prints."""

    def run_command(*args: str | Path, **env: str) -> Any:
        result = run(*args, env={"SOURCES__M3TER__ALERT_URLS": hook.url} | env)
        assert not any(secret in result.output for secret in SECRETS)
        return result

    return run_command


def spoil_newest(world: World, count: int, status: str) -> list[dict[str, Any]]:
    """Lets the newest pushes to NetSuite end so."""
    runs = [run for run in world.listed_runs().values() if run["destination"] == "NETSUITE"]
    newest = sorted(runs, key=lambda run: run["dtStarted"] or "")[-count:]
    for run in newest:
        run["status"] = status
        run["error"] = "INVALID_LOGIN <!channel>" if status == "ERROR" else None
        run["version"] += 1
    return newest


def test_a_year_of_syncs_in_small_tells_each_thing_once(
    say: Run, hook: Hook, world: World, sandbox: Sandbox
) -> None:
    assert say("sync").exit_code == 0
    (first,) = hook.titles()
    assert "things are open" in first
    assert say("sync", "-v").exit_code == 0
    assert hook.titles() == []
    spoil_newest(world, 4, "ERROR")
    assert say("sync", "--full").exit_code == 0
    (failing,) = hook.titles()
    assert re.fullmatch(r"NETSUITE [0-9a-f]{8} is failing \(bills\)(, and 1 more)?", failing)
    for _ in range(2):
        assert say("sync", "--json", M3TER_API_SECRET="wrong").exit_code == 2
    assert hook.titles() == ["The sync fails"]
    spoil_newest(world, 4, "COMPLETE")
    assert say("sync", "--full").exit_code == 0
    (last,) = hook.titles()
    assert re.fullmatch("The sync works again, and [12] more", last)
    # A status that nobody knows fails a check, and the readers' copy stays what it was.
    spoil_newest(world, 3, "NOVEL")
    assert say("sync", "--full").exit_code == 3
    assert hook.titles() == ["Check statuses_known fails"]
    assert say("alerts", "send").stdout == "Nothing changed; nothing was sent.\n"
    spoil_newest(world, 3, "COMPLETE")
    assert say("sync", "--full").exit_code == 0
    assert hook.titles() == ["Check statuses_known passes again"]
    sandbox.requests.clear()
    assert say("alerts", "send", SOURCES__M3TER__STALE_AFTER_HOURS="0").exit_code == 0
    (stale,) = hook.titles()
    assert stale.startswith("The data is stale")
    assert not sandbox.requests, "it needs no account"


def test_a_failing_channel_leaves_the_exit_code_of_a_sync_alone_and_is_logged(
    say: Run, hook: Hook
) -> None:
    hook.status = 500
    result = say("sync")
    assert result.exit_code == 0
    assert (
        "No alert went to alert URL 1 (json at 127.0.0.1): it answered 500. "
        "It is tried again the next time." in result.stderr
    )
    result = say("alerts", "send")
    assert result.exit_code == 1
    hook.status = 200
    result = say("alerts", "send")
    assert (result.exit_code, result.stdout) == (0, "Told alert URL 1 (json at 127.0.0.1).\n")
    assert len(hook.titles()) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"SOURCES__M3TER__ALERT_FAILURE_RATE": "often"},
        {"SOURCES__M3TER__ALERT_FAILURE_RATE": "7"},
        {"SOURCES__M3TER__ALERT_URLS": "no url, and no-secret either"},
    ],
)
def test_wrong_settings_of_alerts_leave_a_sync_alone_and_are_named(
    say: Run, broken: dict[str, str]
) -> None:
    result = say("sync", "--entity-type", "Notification", **broken)
    assert result.exit_code == 0
    assert "WARNING" in result.stderr
    assert "no-secret" not in result.stderr
    result = say("alerts", "test", **broken)
    assert result.exit_code == (1 if "SOURCES__M3TER__ALERT_URLS" in broken else 2)


def test_no_alerts_tells_nobody(say: Run, hook: Hook) -> None:
    assert say("sync", "--no-alerts", M3TER_API_SECRET="wrong").exit_code == 2
    assert hook.titles() == []
    assert not Path("data").exists()


def test_a_sync_that_leaves_another_to_its_work_is_no_news(say: Run, hook: Hook) -> None:
    with Location.of().acquire():
        assert say("sync").exit_code == 75
    assert hook.titles() == []


def test_alerts_are_sent_while_a_sync_writes(say: Run, hook: Hook) -> None:
    say("sync", "--no-alerts")
    with Location.of().acquire(), Location.of().connect():
        assert say("alerts", "send").exit_code == 0
    assert len(hook.titles()) == 1


def test_a_test_message_says_of_each_url_whether_it_went(say: Run, hook: Hook) -> None:
    result = say("alerts", "test", "-v")
    assert (result.exit_code, result.stdout) == (0, "sent    alert URL 1 (json at 127.0.0.1)\n")
    assert hook.titles() == ["a test"]
    urls = f"{hook.url}, json://user:{SECRETS[0]}@127.0.0.1:1/ bogus://{SECRETS[0]}"
    result = say("alerts", "test", "-v", SOURCES__M3TER__ALERT_URLS=urls)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "sent    alert URL 1 (json at 127.0.0.1)",
        "FAILED  alert URL 2 (json at 127.0.0.1): it cannot be reached.",
        "FAILED  alert URL 3: Apprise knows no such URL.",
    ]


@pytest.mark.parametrize("command", ["test", "send"])
def test_without_an_url_the_command_says_how_to_give_one(run: Run, command: str) -> None:
    result = run("alerts", command)
    assert result.exit_code == 2
    assert "SOURCES__M3TER__ALERT_URLS" in result.stderr


def test_without_an_url_nothing_of_alerts_is_loaded_or_left(folder: Path, sandbox: Sandbox) -> None:
    code = (
        "import sys\nfrom m3ter_sync.cli import main\n"
        "main(['sync', '-q'], standalone_mode=False)\n"
        "print([m for m in sys.modules if m.startswith(('apprise', 'm3ter_sync.alerts'))])"
    )
    environment = os.environ | settings_of(sandbox)
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert result.stdout.splitlines()[-1] == "[]"
    assert not [*Path("data").glob("*alerts*")]


def test_no_output_of_the_program_holds_a_secret_of_an_url(
    start: Callable[..., subprocess.Popen[str]], sandbox: Sandbox, hook: Hook
) -> None:
    env = settings_of(sandbox) | {"SOURCES__M3TER__ALERT_URLS": f"{hook.url} slack://hush-hush"}
    for args in (["sync", "-v"], ["alerts", "send", "-v"], ["alerts", "test", "-v"]):
        out, err = start(*args, env=env).communicate(timeout=120)
        assert "Traceback" not in err
        assert not any(secret in out + err for secret in SECRETS)
    assert len(hook.titles()) == 2
    files = [path for path in Path("data").rglob("*") if path.is_file()]
    assert not [path for path in files if any(s.encode() in path.read_bytes() for s in SECRETS)]
