"""Where a warehouse may be, and who may write to it."""

import struct
from pathlib import Path

import duckdb
import pytest

from m3ter_sync.warehouse.location import (
    Location,
    WarehouseBusy,
    WarehouseLocked,
    WarehouseMisplaced,
    WarehouseUnreadable,
)


def test_everything_lies_beside_the_database(tmp_path: Path) -> None:
    location = Location.of(tmp_path / "a" / "warehouse.duckdb")
    assert location.folder == tmp_path / "a"
    assert location.work_folder.parent == location.folder
    assert location.published_folder == location.folder / "published"
    assert not location.folder.exists(), "nothing is made before it is needed"


@pytest.mark.parametrize("name", ["m3ter", "M3TER", "m3ter_raw", "m3ter_staging", "main"])
def test_a_database_named_like_a_schema_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(WarehouseMisplaced, match=r"Choose another name"):
        Location.of(tmp_path / f"{name}.duckdb")


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(WarehouseMisplaced, match="is a folder"):
        Location.of(tmp_path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_text("date,amount\n" * 1000)
    with pytest.raises(WarehouseMisplaced, match="cannot be opened as a DuckDB database"):
        Location.of(path).connect()
    assert path.read_text() == "date,amount\n" * 1000


def test_a_damaged_database_is_not_taken_for_one_that_is_open_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("create table numbers as from range(100000)")
    whole = path.read_bytes()
    headers, blocks = 3 * 4096, len(whole) - 3 * 4096
    damaged = {
        "its first block": whole[:headers] + bytes(blocks),
        "its headers": whole[:4096] + bytes(headers - 4096) + whole[headers:],
        "its end": whole[: len(whole) // 2],
    }
    for what, content in damaged.items():
        path.write_bytes(content)
        with pytest.raises(WarehouseUnreadable, match=r"Corrupt database file|read enough bytes"):
            Location.of(path).connect()
        assert path.read_bytes() == content, f"damaged at {what}, and not left as it was"


def test_a_database_of_a_newer_duckdb_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(path).close()
    content = bytearray(path.read_bytes())
    assert checksum(content[8:4096]) == content[:8], "DuckDB's header has changed"
    content[12:20] = (69).to_bytes(8, "little")  # what DuckDB 2.0 makes an older one read
    content[:8] = checksum(content[8:4096])
    path.write_bytes(content)
    with pytest.raises(WarehouseUnreadable, match="of another DuckDB than this one"):
        Location.of(path).connect()
    assert path.read_bytes() == content


def checksum(block: bytearray) -> bytes:
    """DuckDB's, of one block."""
    result = 5381
    for (word,) in struct.iter_unpack("<Q", block):
        result ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return result.to_bytes(8, "little")


def test_reading_makes_no_database(tmp_path: Path) -> None:
    location = Location.of(tmp_path / "warehouse.duckdb")
    with pytest.raises(WarehouseMisplaced, match="m3ter-sync sync first"):
        location.connect(read_only=True)
    assert not location.database.exists()


def test_one_command_writes_at_a_time(tmp_path: Path) -> None:
    location = Location.of(tmp_path / "a" / "warehouse.duckdb")
    with location.acquire():
        with pytest.raises(WarehouseBusy, match="Another m3ter-sync"):
            location.acquire()
        Location.of(tmp_path / "a" / "other.duckdb").acquire().release()
    location.acquire().release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseMisplaced, match=str(tmp_path / "file")):
        Location.of(tmp_path / "file" / "warehouse.duckdb").acquire()


def test_times_are_told_in_utc_whatever_the_machines_zone(tmp_path: Path) -> None:
    with Location.of(tmp_path / "warehouse.duckdb").connect() as connection:
        (zone,) = connection.execute("select current_setting('TimeZone')").fetchall()
    assert zone == ("UTC",)


def test_a_database_that_another_program_has_open_is_named(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(path).close()
    copy = Location.of(path).published_database
    program = (
        f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(WarehouseLocked, match=r"try again\.$"):
            Location.of(path).connect()
        copy.parent.mkdir()
        copy.touch()
        with pytest.raises(WarehouseLocked, match=rf"To read while a sync runs, open {copy}\.$"):
            Location.of(path).connect()
        other.communicate("\n")
