"""The commands and options that documentation, schedulers and scripts rely on."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from m3ter_sync.cli import main

ROOT = Path(__file__).resolve().parents[2]
PROMISED = {
    "demo": {"--folder"},
    "sync": {
        "--database",
        "--destination",
        "--full",
        "--since",
        "--until",
        "--entity-type",
        "--entity-id",
        "--requests-per-second",
        "--accept-shrink",
        "--no-alerts",
        "--json",
    },
    "alerts test": set(),
    "alerts send": {"--database"},
    "list runs": {
        "--entity-type",
        "--entity-id",
        "--start-date",
        "--end-date",
        "--status",
        "--order",
        "--page-size",
        "--json",
    },
    "list notifications": {
        "--active",
        "--inactive",
        "--event-name",
        "--id",
        "--page-size",
        "--json",
    },
    "models": {"--database"},
    "verify": {"--database", "--all", "--repair", "--requests-per-second", "--json"},
    "check": {"--database"},
    "publish": {"--database", "--force"},
    "report": {"--database", "--open"},
    "status": {"--database", "--max-age", "--json"},
    "doctor": {"--database", "--json"},
    "query": {"--database", "--format", "--output", "--name", "--list"},
    "sandbox": {"--port", "--bills", "--runs", "--notifications", "--days", "--seed"},
}


def walk(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from walk(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(walk(main))


def options_of(command: click.Command) -> set[str]:
    return {"--help"}.union(
        *([*each.opts, *each.secondary_opts] for each in command.params if each.opts)
    )


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_command_has_its_options(name: str) -> None:
    assert PROMISED[name] <= options_of(COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_told_how_to_log(name: str) -> None:
    assert {"--log-format", "--verbose", "--quiet"} <= options_of(COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for param in command.params:
        assert isinstance(param, click.Argument) or (
            isinstance(param, click.Option) and param.help
        ), param.name


def documented_commands() -> list[tuple[str, str]]:
    """Each call of `m3ter-sync` in the documentation, and where it stands."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"]
    return [
        (call, f"{path.relative_to(ROOT)}")
        for path in files
        for call in re.findall(
            r"m3ter-sync((?: +[a-z][a-z-]*| +--[a-z-]+| +[^\s`|]+)*)", path.read_text()
        )
        if re.match(r" +[a-z]+", call)
    ]


def test_documentation_names_commands_and_options_that_exist() -> None:
    first_words = {name.split()[0] for name in COMMANDS}
    for call, place in documented_commands():
        words = call.split()
        if words[0] not in first_words:
            continue
        name = " ".join(words[:2]) if words[0] in ("alerts", "list") else words[0]
        if name not in COMMANDS:
            continue
        given = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
        assert given <= options_of(COMMANDS[name]), f"{place}: m3ter-sync{call}"


def test_help_answers_at_once() -> None:
    """Half a second of CPU time, whatever else the machine does; 0.1 s was measured."""
    before = os.times()
    began = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", "from m3ter_sync.cli import main; main(['--help'])"],
        check=True,
        capture_output=True,
        text=True,
    )
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    assert used < 0.5, f"{used:.2f} s of CPU, {time.monotonic() - began:.2f} s in all"
    assert "sync" in result.stdout


def test_help_loads_nothing_heavy() -> None:
    heavy = {
        "apprise",
        "dlt",
        "duckdb",
        "pyarrow",
        "requests",
        "rich",
        "pendulum",
        "sqlglot",
        "starlette",
    }
    code = (
        "import sys\nfrom m3ter_sync.cli import main\n"
        "main(['sync', '--help'], standalone_mode=False)\n"
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stderr.strip() == "[]"
