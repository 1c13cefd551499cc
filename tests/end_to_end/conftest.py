"""Runs the command line: in this process, or as the program that people start."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from m3ter_sync.cli import main
from m3ter_sync.sandbox import Sandbox
from m3ter_sync.warehouse.location import DEFAULT_DATABASE

Run = Callable[..., Result]


def settings_of(sandbox: Sandbox) -> dict[str, str]:
    return {
        "M3TER_BASE_URL": sandbox.base_url,
        "M3TER_ORG_ID": sandbox.org_id,
        "M3TER_API_KEY": sandbox.access_key_id,
        "M3TER_API_SECRET": sandbox.api_secret,
        "SOURCES__M3TER__REQUESTS_PER_SECOND": "100000",
    }


@pytest.fixture
def account(sandbox: Sandbox) -> dict[str, str]:
    """The settings of the sandbox, as environment variables."""
    return settings_of(sandbox)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the commands run, and a home that is empty too."""
    for name in list(os.environ):
        if name.startswith(("M3TER_", "SOURCES__", "DLT_")):
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def run(folder: Path, account: dict[str, str]) -> Run:
    """Runs a command in this process, with the sandbox's settings."""

    def run_command(*args: str | Path, env: Mapping[str, str | None] | None = None) -> Result:
        result = CliRunner().invoke(
            main, list(map(str, args)), prog_name="m3ter-sync", env=account | dict(env or {})
        )
        assert "sandbox-secret" not in result.output
        return result

    return run_command


@pytest.fixture
def synced(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs commands beside a warehouse of the world, which is synced once and then copied."""
    copy = tmp_path_factory.getbasetemp() / "synced"
    if copy.exists():
        shutil.copytree(copy, DEFAULT_DATABASE.parent)
    else:
        assert run("sync").exit_code == 0
        shutil.copytree(DEFAULT_DATABASE.parent, copy)
    return run


@pytest.fixture
def program() -> Path:
    """The command as it is installed."""
    return Path(sysconfig.get_path("scripts")) / "m3ter-sync"


@pytest.fixture
def start(folder: Path, program: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the program as people do; ends it with the test."""
    started: list[subprocess.Popen[str]] = []

    def start_program(
        *args: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        environment = os.environ | dict(env or {})
        environment.pop("DLT_DATA_DIR", None)
        process = subprocess.Popen(
            [program, *map(str, args)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.kill()
        process.communicate()
