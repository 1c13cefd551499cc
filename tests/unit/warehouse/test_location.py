"""Where a warehouse may be, and who may write to it."""

from pathlib import Path

import duckdb
import pytest

from m3ter_sync.warehouse.location import (
    Location,
    WarehouseBusy,
    WarehouseLocked,
    WarehouseMisplaced,
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
    program = (
        f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(WarehouseLocked, match=r"published/m3ter\.duckdb"):
            Location.of(path).connect()
        other.communicate("\n")
