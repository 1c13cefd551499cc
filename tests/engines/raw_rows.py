"""A warehouse whose raw tables have all that an engine could read in another way."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from m3ter_sync.sandbox import Sandbox, build_world
from m3ter_sync.settings import load_settings
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.sync import Sync

Row = dict[str, Any]

_STATUSES = ("COMPLETE", "ERROR", "AUTH_FAILED", "DISABLED", "STARTED", "INVOICE_ALREADY_PAID", "é")
# Upper and lower case, marks and digits: each collation sorts them its own way.
_DESTINATIONS = ("NETSUITE", "netsuite", "Éclair", "_x_TEST", "STRIPE_SANDBOX", "sTRIPE_TEST", "")
_UUID = "0a1b2c3d-0000-4444-8888-0123456789ab"
_ERRORS = (
    None,
    "",
    "refused",
    "Refused",
    "(no text)",
    f"entity {_UUID} (Müller) of 2025-06-01T10:11:12.123Z and 2025-06-02 2025-06-03",
    # No ASCII letter stands beside these: to RE2 it is a boundary of a word.
    f"é2025-06-01é ü{_UUID}ß ١٢٣ ٤ 日本2025-06-01 12:30+02:00語 ñ12 12ñ",
    f"x{_UUID} {_UUID}_ 2025-06-01x 2025-06-01T10:11x 12.5,3.1a",
    "said \"it's 'so'\" and ('quoted') ['x'] key='v' it's not 'here'",
    "GET https://x.example/a?b=1&c='2'. (https://y.example/z) http://é.example/ü",
    "space\u00a0'nbsp' \u2003'em' \v'vt' \f'ff' \t'tab'\n'line'\r\n'both'",
    "back\\slash \\1 $1 ${x} %_ \\d+ 'q\\'",
    "😀" * 995 + " 12345 and 'more'",
    "x" * 1100 + " 42",
    "Ⅷ ² ½ 3ª １２ K ſ",  # noqa: RUF001 - digits and letters to Unicode, not to ASCII
    "TRAILING 1.5.6, 7,8 -3 +4 5e10 0x1F",
)


@contextmanager
def open_warehouse(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Synced twice from a world that moved on, with hostile rows besides; no models."""
    now = datetime.now(UTC) - timedelta(days=2)
    world = build_world(11, now=now, bills=60, notifications=40, runs=1500, days=60, open_runs=30)
    location = Location.of(folder / "warehouse.duckdb")
    with pytest.MonkeyPatch.context() as patch, Sandbox(world) as sandbox:
        patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
        patch.setattr(tempfile, "tempdir", None)
        settings = load_settings(
            org_id=sandbox.org_id,
            access_key_id=sandbox.access_key_id,
            api_secret=sandbox.api_secret,
            base_url=sandbox.base_url,
            requests_per_second=100_000,
        )
        Sync(settings, location).run(with_models=False)
        for _ in range(2):
            world.advance(1)
        Sync(settings, location).run(with_models=False)
    with duckdb.connect(location.database) as connection:
        connection.execute("set TimeZone = 'UTC'")
        add_hostile_rows(connection, world.now)
        yield connection


def add_hostile_rows(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    draw = random.Random(7)
    # Rows whose only difference is what settles ties, among others.
    runs = [row for seed in range(6) for row in _draw_runs(draw, now, f"{seed}")]
    runs += [_run(f"kind {n}", now, error=error) for n, error in enumerate(_ERRORS)]
    runs += [
        _run(f"again {n}", now - timedelta(days=9), error=error) for n, error in enumerate(_ERRORS)
    ]
    runs += list(_long_circle("loop", 5, now))
    runs += list(_long_chain("chain", 103, now))
    _insert(connection, "integration_runs", runs)
    bills = connection.execute("select id from m3ter_raw.bills order by id limit 2").fetchall()
    at = now - timedelta(days=1)
    _insert(
        connection,
        "integration_runs",
        [_run(f"money {n}", at, entity_id=bill, status="ERROR") for n, (bill,) in enumerate(bills)],
    )
    connection.execute(
        "update m3ter_raw.bills set bill_total = 12345678901234567890.123456789, currency = 'zł'"
        " where id = ?",
        bills[0],
    )
    connection.execute(
        "update m3ter_raw.bills set bill_total = null, currency = null where id = ?", bills[1]
    )


def _draw_runs(draw: random.Random, now: datetime, seed: str) -> Iterator[Row]:
    count = 60
    for number in range(count):
        # Few instants, around midnights of UTC: many runs begin at once.
        begun = now.replace(hour=0, minute=0, second=0, microsecond=0) + draw.choice(
            [
                timedelta(days=-draw.randint(0, 60), microseconds=draw.choice([-1, 0, 1])),
                timedelta(days=-draw.choice([1, 7, 28]), hours=draw.randint(0, 23)),
            ]
        )
        entity_type = draw.choice(["Bill", "Notification"])
        yield _run(
            f"{draw.choice(['r', 'R', 'é'])}{seed}-{number}",
            begun,
            entity_type=entity_type,
            entity_id=f"{entity_type} {draw.randint(1, 3)}",
            destination=draw.choice(_DESTINATIONS),
            destination_id=draw.choice(["x", "X", "", None]),
            status=draw.choice(_STATUSES),
            error=draw.choice(_ERRORS),
            dt_started=draw.choice([begun, begun, None]),
            dt_created=draw.choice([begun, begun - timedelta(seconds=7), None]),
            dt_completed=draw.choice([None, begun, begun + timedelta(seconds=12.345678)]),
            parent_integration_run_id=draw.choice(
                [None, *(f"{c}{seed}-{draw.randint(0, count)}" for c in ("r", "r", "R", "é"))]
            ),
        )


def _long_circle(name: str, size: int, now: datetime) -> Iterator[Row]:
    """A circle in which each parent is the later run, and a tail that hangs from it."""
    for number in range(size):
        begun = now - timedelta(days=3, minutes=size - number)
        parent = f"{name} {(number + 1) % size}"
        yield _run(f"{name} {number}", begun, parent_integration_run_id=parent)
        yield _run(
            f"{name} tail {number}",
            begun,
            parent_integration_run_id=f"{name} tail {number - 1}" if number else f"{name} 3",
        )
    yield _run(f"{name} itself", now, parent_integration_run_id=f"{name} itself")


def _long_chain(name: str, size: int, now: datetime) -> Iterator[Row]:
    """Longer than Spark follows by itself, and that by a step for each run."""
    for number in range(size):
        begun = now - timedelta(days=2, minutes=size - number)
        parent = f"{name} {number - 1}" if number else "nowhere"
        yield _run(f"{name} {number}", begun, parent_integration_run_id=parent)


def _run(id_: str, begun: datetime, **values: object) -> Row:
    return {
        "id": id_,
        "entity_type": "Bill",
        "entity_id": "bill",
        "destination": "NETSUITE",
        "destination_id": "netsuite",
        "status": "ERROR",
        "dt_created": begun,
        "dt_started": begun,
        "_dlt_load_id": "1750000000.1234567",
        **values,
    }


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(
            f"insert into m3ter_raw.{table} ({', '.join(row)}) values ({marks})",
            list(row.values()),
        )
