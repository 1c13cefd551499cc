"""A PostgreSQL server, and warehouses on it: each test has a database of its own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner, Result
from tests.conftest import NOW, Warehouse
from tests.engines.postgres import PostgresServer

from m3ter_sync.cli import main
from m3ter_sync.sandbox import Sandbox, World, build_world

SETTING = "DESTINATION__POSTGRES__CREDENTIALS"
Run = Callable[..., Result]


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def world() -> World:
    return build_world(now=NOW, bills=20, notifications=15, runs=400, open_runs=6)


@pytest.fixture
def url(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database, which dlt is told of."""
    address = server.create_database()
    monkeypatch.setenv(SETTING, address)
    return address


@pytest.fixture
def warehouse(sandbox: Sandbox, open_warehouse: Callable[..., Warehouse], url: str) -> Warehouse:
    return open_warehouse(sandbox, destination="postgres")


@pytest.fixture
def connect(url: str) -> Iterator[Callable[..., Any]]:
    """Opens sessions of somebody else; each statement stands for itself."""
    opened = []

    def connect_to(address: str = url) -> Any:
        connection = psycopg2.connect(address)
        connection.autocommit = True
        opened.append(connection)
        return connection.cursor()

    yield connect_to
    for each in opened:
        each.close()


@pytest.fixture
def run(sandbox: Sandbox, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the warehouse of the test's database, in an empty folder."""
    for name in list(os.environ):
        if name.startswith(("M3TER_", "SOURCES__", "DLT_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    account = {
        "M3TER_BASE_URL": sandbox.base_url,
        "M3TER_ORG_ID": sandbox.org_id,
        "M3TER_API_KEY": sandbox.access_key_id,
        "M3TER_API_SECRET": sandbox.api_secret,
        "SOURCES__M3TER__REQUESTS_PER_SECOND": "100000",
    }

    def run_command(
        command: str,
        *args: str | Path,
        destination: str | None = "postgres",
        env: dict[str, str] | None = None,
    ) -> Result:
        given = [command, *map(str, args)]
        if destination:
            given += ["--destination", destination]
        result = CliRunner().invoke(
            main, given, prog_name="m3ter-sync", env=account | (env or {}), catch_exceptions=False
        )
        assert "hush" not in result.output
        return result

    return run_command
