"""The folder and the disk are looked at, and nothing is written to find out."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from m3ter_sync.doctor.machine import check_disk, check_folder
from m3ter_sync.warehouse.location import Location

NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """For root every folder is writable: as somebody who is not."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_can_be_written_to_is_fine_there_or_not(tmp_path: Path) -> None:
    (finding,) = check_folder(Location.of(tmp_path / "warehouse.duckdb"))
    assert (finding.level, finding.found) == ("ok", f"{tmp_path} is writable")
    (finding,) = check_folder(Location.of(tmp_path / "a" / "b" / "warehouse.duckdb"))
    assert finding.level == "ok"
    assert f"is not there yet; {tmp_path} is writable" in finding.found
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    for path in (open_folder, open_folder / "data"):
        with as_somebody_else():
            (finding,) = check_folder(Location.of(path / "warehouse.duckdb"))
        assert finding.level == "problem"
        assert finding.is_configuration
        assert str(open_folder) in finding.found


def test_a_database_that_cannot_be_written_to_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o777)
    database = open_folder / "warehouse.duckdb"
    database.touch(mode=0o444)
    database.chmod(0o444)
    with as_somebody_else():
        (finding,) = check_folder(Location.of(database))
    assert finding.level == "problem"
    assert finding.found == f"not writable: {database}"


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = check_folder(Location(tmp_path / "file" / "warehouse.duckdb"))
    assert finding.level == "problem"
    assert finding.found == f"{tmp_path / 'file'} is no folder"


@pytest.mark.parametrize(("share", "level"), [(0.1, "ok"), (0.7, "warning"), (1.2, "problem")])
def test_a_disk_without_room_for_a_copy_is_told(tmp_path: Path, share: float, level: str) -> None:
    location = Location.of(tmp_path / "warehouse.duckdb")
    free = shutil.disk_usage(tmp_path).free
    assert free > 4e9, "too little to tell the one from the other"
    with location.database.open("wb") as file:
        file.truncate(int(free * share))  # holes take no room
    (finding,) = check_disk(location)
    assert finding.level == level
    assert bool(finding.advice) == (level != "ok")


def test_without_a_warehouse_there_is_only_the_room(tmp_path: Path) -> None:
    (finding,) = check_disk(Location.of(tmp_path / "none" / "warehouse.duckdb"))
    assert finding.facts["database_bytes"] == 0
