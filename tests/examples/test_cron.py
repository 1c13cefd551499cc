"""docs/examples/cron: lines that cron understands, that do their work and are quiet about it."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.environments import run
from tests.examples.conftest import EXAMPLES, Host

from m3ter_sync.warehouse.location import Location

EXAMPLE = "cron/m3ter-sync"
EVERYTHING = {"m3ter.duckdb", "report.html"}


@dataclass
class Crontab:
    variables: dict[str, str]
    lines: list[tuple[str, str, str]]
    """Schedule, user, command."""


def parse(text: str) -> Crontab:
    """As cron reads a file of /etc/cron.d."""
    crontab = Crontab({}, [])
    for line in text.splitlines():
        if variable := re.fullmatch(r"(\w+)=(.*)", line):
            crontab.variables[variable[1]] = variable[2]
        elif line and not line.startswith("#"):
            *schedule, user, command = line.split(maxsplit=6)
            crontab.lines.append((" ".join(schedule), user, command))
    return crontab


@pytest.fixture
def crontab(host: Host) -> Crontab:
    return parse(host.read(EXAMPLE))


def start(host: Host, crontab: Crontab, number: int) -> subprocess.CompletedProcess[str]:
    _, _, command = crontab.lines[number]
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env=host.environment | crontab.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_cron_reads_the_file(crontab: Crontab, tools: Path) -> None:
    # Cron passes over a file of /etc/cron.d whose name has a dot, and ends a command at a percent.
    assert re.fullmatch(r"[\w-]+", Path(EXAMPLE).name)
    assert [line[:2] for line in crontab.lines] == [
        ("17 * * * *", "m3ter-sync"),
        ("47 7 * * *", "m3ter-sync"),
    ]
    assert all("%" not in command for _, _, command in crontab.lines)
    # Cron of Debian takes lines of at most 1000 characters.
    assert all(len(line) < 1000 for line in (EXAMPLES / EXAMPLE).read_text().splitlines())
    for schedule, _, _ in crontab.lines:
        code = "import sys; from cronsim import CronSim; from datetime import datetime; "
        code += "print(next(CronSim(sys.argv[1], datetime(2025, 11, 3, 6, 30))))"
        found = run(tools / "python", "-c", code, schedule)
        minute, hour, *_ = schedule.split()
        assert found.strip().endswith(f"{7:02}:{int(minute):02}:00"), (hour, found)


def test_the_commands_are_good_shell(crontab: Crontab, tools: Path, tmp_path: Path) -> None:
    for number, (_, _, command) in enumerate(crontab.lines):
        script = tmp_path / f"{number}.sh"
        given = "".join(f"{name}=x\n" for name in crontab.variables)
        script.write_text(f"#!/bin/sh\n{given}export {' '.join(crontab.variables)}\n{command}\n")
        run(tools / "shellcheck", script)


def test_a_sync_and_a_verification_do_their_work_and_print_nothing(
    host: Host, crontab: Crontab
) -> None:
    host.write_secrets(host.settings / "production")
    for number in range(len(crontab.lines)):
        assert start(host, crontab, number).stdout == ""
    assert host.published("production") == EVERYTHING


def test_another_sync_is_no_reason_for_a_mail(host: Host, crontab: Crontab) -> None:
    host.write_secrets(host.settings / "production")
    database = Path(crontab.variables["DATABASE"])
    with Location.of(database).acquire():
        assert start(host, crontab, 0).stdout == ""
    assert not database.exists()


def test_a_failure_is_mailed_with_its_exit_code_and_its_message(
    host: Host, crontab: Crontab
) -> None:
    host.write_secrets(host.settings / "production", api_secret="wrong")
    first, *_, last = start(host, crontab, 0).stdout.splitlines()
    assert first == "exit code 2"
    assert last.startswith("Error: POST /oauth/token")


@pytest.mark.parametrize("exit_code", [1, 3, 4, 5, 143])
def test_every_other_exit_code_is_mailed(host: Host, exit_code: int) -> None:
    host.make_program_end(exit_code)
    crontab = parse(host.read(EXAMPLE))
    for number in range(len(crontab.lines)):
        assert start(host, crontab, number).stdout == f"exit code {exit_code}\nit said so\n"
