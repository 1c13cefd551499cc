"""DuckDB's memory: limited by what a warehouse takes, and all of it where that is too little."""

from pathlib import Path

import duckdb
import pytest

from m3ter_sync.warehouse import memory
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.memory import limit_memory, with_enough_memory

MEBIBYTE = 1024**2
RUNS = """
create schema m3ter_raw;
create table m3ter_raw.integration_runs as select range as id from range({count});
"""


def read_limit(connection: duckdb.DuckDBPyConnection) -> float:
    row = connection.execute("select current_setting('memory_limit')").fetchone()
    assert row
    number, unit = row[0].split()
    return float(number) * {"MiB": 1, "GiB": 1024}[unit]


@pytest.mark.parametrize(
    ("runs", "threads", "expected"),
    [(None, 2, 200e6), (10, 2, 200e6), (10, 4, 400e6), (5_000_000, 2, 1e9)],
)
def test_the_limit_goes_by_threads_and_by_runs(
    runs: int | None, threads: int, expected: float
) -> None:
    with duckdb.connect(config={"threads": threads}) as connection:
        if runs:
            connection.execute(RUNS.format(count=runs))
        limit_memory(connection)
        assert read_limit(connection) == pytest.approx(expected / MEBIBYTE, rel=0.01)


def test_the_limit_is_never_more_than_duckdb_takes_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_BYTES_A_THREAD", 10**15)
    with duckdb.connect() as connection:
        by_itself = read_limit(connection)
        limit_memory(connection)
        assert read_limit(connection) == pytest.approx(by_itself, rel=0.01)


def test_the_limit_grows_with_the_warehouse() -> None:
    with duckdb.connect(config={"threads": 2}) as connection:
        limit_memory(connection)
        connection.execute(RUNS.format(count=5_000_000))
        limit_memory(connection)
        assert read_limit(connection) == pytest.approx(1e9 / MEBIBYTE, rel=0.01)


def test_only_who_writes_is_limited(tmp_path: Path) -> None:
    location = Location.of(tmp_path / "warehouse.duckdb")
    with duckdb.connect() as unlimited, location.connect() as writer:
        assert read_limit(writer) < read_limit(unlimited)
    with duckdb.connect() as unlimited, location.connect(read_only=True) as reader:
        assert read_limit(reader) == read_limit(unlimited)


def test_what_does_not_fit_is_done_again_with_all_the_memory() -> None:
    calls = 0

    @with_enough_memory
    def work(connection: duckdb.DuckDBPyConnection, count: int) -> int:
        nonlocal calls
        calls += 1
        # A list cannot be put on the disk.
        row = connection.execute(f"select len(list(range)) from range({count})").fetchone()
        assert row
        return int(row[0])

    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set memory_limit = '20MB'")
        assert work(connection, 10) == 10
        assert calls == 1
        assert work(connection, 5_000_000) == 5_000_000
        assert calls == 3
        assert read_limit(connection) > 100
