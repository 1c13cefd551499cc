"""Runs `m3ter-sync sync` under a fault, and proves what the fault's row says."""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.datastructures import QueryParams

from m3ter_sync.cli import main
from m3ter_sync.sandbox import Sandbox, World, build_world
from m3ter_sync.sandbox.listing import list_runs

from . import rows
from .proxy import Proxy
from .rows import Fault

NOW = datetime(2025, 11, 3, 6, tzinfo=UTC)
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z (INFO|WARNING) ")


class Case:
    """A warehouse, the sandbox that it is synced from, and a network between them."""

    def __init__(self, sandbox: Sandbox, proxy: Proxy, warehouse: Any) -> None:
        self.sandbox = sandbox
        self.proxy = proxy
        self.warehouse = warehouse
        self._before: dict[str, Any] = {}

    @property
    def world(self) -> World:
        return self.sandbox.world

    @property
    def database(self) -> Path:
        return Path(self.warehouse.location.database)

    def settings(self, **settings: Any) -> dict[str, str]:
        """The environment of the program; it waits for nothing longer than it must."""
        hasty = {"requests_per_second": 100_000, "timeout_seconds": 20, "retry_seconds": 0.6}
        hasty |= {"threads": 8, "page_size": 5}
        return {
            "M3TER_BASE_URL": self.proxy.url,
            "M3TER_ORG_ID": self.sandbox.org_id,
            "M3TER_API_KEY": self.sandbox.access_key_id,
            "M3TER_API_SECRET": self.sandbox.api_secret,
        } | {f"SOURCES__M3TER__{name.upper()}": str(v) for name, v in (hasty | settings).items()}

    def sync_before(self) -> None:
        """A sync before the fault, after which the world moves on."""
        self.warehouse.sync()
        self.remember()
        self.world.advance(1)

    def remember(self) -> None:
        """What the warehouse holds now is what it must hold after the fault."""
        self._before = self.warehouse.dump()

    def sync(self, *args: str, env: Mapping[str, str] | None = None, **settings: Any) -> Result:
        """`m3ter-sync sync`, through the misbehaving network."""
        self.sandbox.requests.clear()
        environment = self.settings(**settings) | dict(env or {})
        command = ["sync", "--database", str(self.database), *args]
        return CliRunner().invoke(main, command, prog_name="m3ter-sync", env=environment)

    def check(self, fault: Fault, result: Result) -> None:
        """The user sees what the row says, and the warehouse holds what the row says."""
        self.check_seen(fault, result.exit_code, result.stderr)
        self.check_held(fault)

    def check_seen(self, fault: Fault, exit_code: int, stderr: str) -> None:
        """One line that says it, and no traceback; logs may stand before it."""
        errors = [line for line in stderr.splitlines() if not LOG_LINE.match(line)]
        self.check_error(fault, exit_code, errors)
        assert not errors or stderr.splitlines()[-1] == errors[0]

    def check_error(self, fault: Fault, exit_code: int, errors: list[str]) -> None:
        assert len(errors) == bool(fault.sees), errors
        for error in errors:
            text = re.sub(r" \(run [0-9a-f-]{36}\)$", "", error)
            assert re.fullmatch(f"Error: {fault.pattern}", text), error
        assert exit_code == fault.exit_code, errors

    def check_held(self, fault: Fault) -> None:
        if fault.holds == rows.NOTHING:
            assert not self._tables()
        elif fault.holds == rows.BEFORE:
            assert self.warehouse.dump() == self._before
        elif fault.holds == rows.ALL:
            self.warehouse.assert_equals_the_world()
        else:
            missing = self._missing_by_entity()
            if fault.holds == rows.OTHERS:
                assert len(missing) == 1, missing
            if self._tables():
                assert set(missing) & self._listed() == set(), "listed, and not complete"

    def check_next(self, **settings: Any) -> None:
        """A sync without the fault brings all that is there."""
        self.warehouse.sync(**settings)
        self.warehouse.assert_equals_the_world()

    def _tables(self) -> list[dict[str, Any]]:
        """Empty as long as no run was ever loaded."""
        sql = "select 1 from duckdb_tables() where table_name = 'integration_runs'"
        return list(self.warehouse.query(sql)) if self.database.exists() else []

    def _listed(self) -> set[tuple[str, str]]:
        """The entities that the warehouse says were listed to the end."""
        listed = self.warehouse.query(
            """
            select entity_type, entity_id from m3ter_raw.entities as e
            join m3ter_raw._dlt_loads as l on l.load_id = e._dlt_load_id
            where l.status = 0 and not e.is_gone
            """
        )
        return {(each["entity_type"], each["entity_id"]) for each in listed}

    def _missing_by_entity(self) -> dict[tuple[str, str], int]:
        """How many runs each entity lacks; what is held of it is a prefix of true rows."""
        held = defaultdict(set)
        served = self.world.listed_runs()
        if self._tables():
            self.warehouse.assert_holds_no_false_run()
            for run_id, row in self.warehouse.rows("integration_runs").items():
                held[row["entity_type"], row["entity_id"]].add(run_id)
        missing = {}
        for entity in {(row["entityType"], row["entityId"]) for row in served.values()}:
            ids = [row["id"] for row in self._list(*entity)]
            assert set(ids[: len(held[entity])]) == held[entity], f"{entity}: no prefix"
            if len(ids) > len(held[entity]):
                missing[entity] = len(ids) - len(held[entity])
        return missing

    def _list(self, entity_type: str, entity_id: str) -> Iterator[dict[str, Any]]:
        token = ""
        while token is not None:
            params = QueryParams({"order": "ASC", "pageSize": "200", "nextToken": token})
            page = list_runs(self.world, entity_type, entity_id, params)
            yield from page["data"]
            token = page.get("nextToken") or None


@pytest.fixture
def world() -> World:
    return build_world(now=NOW, bills=12, notifications=6, runs=150, open_runs=3)


@pytest.fixture
def make_case(
    open_warehouse: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Sandbox], Case]]:
    for name in list(os.environ):
        if name.startswith(("M3TER_", "SOURCES__")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:

        def make(sandbox: Sandbox) -> Case:
            proxy = stack.enter_context(Proxy(sandbox.base_url))
            return Case(sandbox, proxy, open_warehouse(sandbox))

        yield make
    logger = logging.getLogger("m3ter_sync")
    logger.handlers = []
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def case(sandbox: Sandbox, make_case: Callable[[Sandbox], Case]) -> Case:
    return make_case(sandbox)
