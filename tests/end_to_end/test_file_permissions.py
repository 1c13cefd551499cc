"""Who may read what a sync leaves behind, whatever the umask."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from starlette.responses import Response

from m3ter_sync.sandbox import LoggedRequest, Sandbox
from m3ter_sync.warehouse.permissions import make_data_folder, private_files

Run = Callable[..., Result]
PUBLISHED = Path("data/published")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def assert_private(folder: Path) -> None:
    """What lies in a data folder, but for what is published, is its owner's alone."""
    for path in folder.rglob("*"):
        if PUBLISHED not in (path, *path.parents):
            assert mode(path) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize(
    ("mask", "folder_mode", "published_mode", "file_mode"),
    [
        (0o000, 0o711, 0o777, 0o666),
        (0o022, 0o711, 0o755, 0o644),
    ],
)
def test_all_files_are_private_but_for_those_that_are_published(
    run: Run, sandbox: Sandbox, mask: int, folder_mode: int, published_mode: int, file_mode: int
) -> None:
    seen = set[str]()

    def look(_: LoggedRequest) -> Response | None:
        """While a sync runs there are more files than after it."""
        assert_private(Path("data"))
        seen.update(path.name for path in Path("data").rglob("*"))
        return None

    with umask(mask):
        assert run("sync").exit_code == 0
        sandbox.world.advance(days=1)
        sandbox.behaviour.on_request = look
        assert run("sync").exit_code == 0
        assert run("report").exit_code == 0
        query = ("query", "select 1 as a", "--format", "parquet", "--output", "rows.parquet")
        assert run(*query).exit_code == 0
        assert os.umask(mask) == mask
    assert {"warehouse.lock", "warehouse.duckdb", "warehouse.dlt"} <= seen
    assert_private(Path("data"))
    assert mode(Path("data")) == folder_mode
    assert mode(PUBLISHED) == published_mode
    names = {path.name for path in PUBLISHED.iterdir()}
    assert {"m3ter.duckdb", "manifest.json", "report.html", "stuck_runs.parquet"} <= names
    for path in [*PUBLISHED.iterdir(), Path("rows.parquet")]:
        assert mode(path) == file_mode, path


def test_folders_and_files_that_are_there_keep_their_permissions(run: Run) -> None:
    PUBLISHED.mkdir(parents=True)
    Path("data").chmod(0o770)
    PUBLISHED.chmod(0o2750)
    database = Path("data/warehouse.duckdb")
    duckdb.connect(database).close()
    database.chmod(0o640)
    with umask(0o022):
        assert run("sync").exit_code == 0
    assert [mode(each) for each in (Path("data"), PUBLISHED, database)] == [0o770, 0o2750, 0o640]


@pytest.mark.parametrize(("mask", "expected"), [(0, 0o711), (0o027, 0o710), (0o077, 0o700)])
def test_a_folder_for_data_can_be_passed_through_by_whom_the_umask_lets(
    tmp_path: Path, mask: int, expected: int
) -> None:
    with umask(mask), private_files():
        make_data_folder(tmp_path / "a" / "b")
    assert [mode(tmp_path / each) for each in ("a", "a/b")] == [expected, expected]


def test_alerts_of_a_first_sync_that_failed_keep_readers_out_of_nothing(run: Run) -> None:
    env = {"SOURCES__M3TER__ALERT_URLS": "json://127.0.0.1:9", "M3TER_API_SECRET": "wrong"}
    with umask(0o022):
        assert run("sync", env=env).exit_code == 2
    assert mode(Path("data")) == 0o711
