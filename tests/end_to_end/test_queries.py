"""The questions of sql/queries: each is answered by the warehouse and by the published copy."""

import subprocess
import sysconfig
from pathlib import Path

import duckdb
import pytest

from m3ter_sync.warehouse.sql_files import read_header, sql_folder

QUERIES = sorted((sql_folder() / "queries").glob("*.sql"))
# What has no answer on a good day.
MAY_BE_EMPTY = {"broke_yesterday", "new_errors", "who_listened_when_it_failed"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    program = Path(sysconfig.get_path("scripts")) / "m3ter-sync"
    subprocess.run([program, "demo", "--folder", folder / "data"], check=True, capture_output=True)
    return folder / "data"


def test_there_are_at_least_twelve_questions() -> None:
    assert len(QUERIES) >= 12


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_says_in_plain_words_what_it_answers(path: Path) -> None:
    assert "?" in read_header(path.read_text())[0]


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_has_the_same_answer_in_the_warehouse_and_in_the_published_copy(
    path: Path, demo: Path
) -> None:
    answers = []
    for database in (demo / "warehouse.duckdb", demo / "published" / "m3ter.duckdb"):
        with duckdb.connect(database, read_only=True) as connection:
            answers.append(sorted(connection.execute(path.read_text()).fetchall(), key=repr))
    assert answers[0] == answers[1]
    assert answers[0] or path.stem in MAY_BE_EMPTY
