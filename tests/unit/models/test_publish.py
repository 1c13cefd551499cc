"""The published copy: whole, commented, and never half-written."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from m3ter_sync.warehouse.manifest import MANIFEST_NAME, read_manifest
from m3ter_sync.warehouse.models import published_relations
from m3ter_sync.warehouse.publish import SCHEMA_VERSION, publish

from .conftest import AS_OF, RawWarehouse

ROOT = Path(__file__).resolve().parents[3]


def count_deliveries(database: Path) -> int:
    with duckdb.connect(database, read_only=True) as connection:
        (row,) = connection.execute("select count(*) from m3ter.integration_deliveries").fetchall()
        return int(row[0])


def test_marts_answer_to_both_their_names_and_keep_their_comments(
    raw: RawWarehouse, tmp_path: Path
) -> None:
    raw.add_sync()
    raw.add_runs({"id": "r", "dt_started": AS_OF})
    raw.build()
    publication = publish(raw.connection, tmp_path / "published")
    assert publication.database == tmp_path / "published" / "m3ter.duckdb"
    with duckdb.connect(publication.database, read_only=True) as connection:
        for model in published_relations():
            short = connection.execute(f"select count(*) from {model.name}").fetchall()
            long = connection.execute(f"select count(*) from m3ter.{model.name}").fetchall()
            parquet = tmp_path / "published" / f"{model.name}.parquet"
            assert (
                short
                == long
                == connection.execute(f"select count(*) from read_parquet('{parquet}')").fetchall()
            )
            comments = connection.execute(
                "select column_name, comment from duckdb_columns() where table_name = ?"
                " order by column_index",
                [model.name],
            ).fetchall()
            assert comments == [(column.name, column.comment) for column in model.columns]
        assert connection.execute("select stuck_after_hours from settings").fetchall() == [(24.0,)]
        assert connection.execute("select count(*) from status_class").fetchall() == [(11,)]


def test_nothing_is_left_beside_what_is_published(raw: RawWarehouse, tmp_path: Path) -> None:
    raw.build()
    publication = publish(raw.connection, tmp_path)
    assert set(tmp_path.iterdir()) == {
        publication.database,
        *publication.parquet_files,
        tmp_path / MANIFEST_NAME,
    }


def test_a_reader_of_the_old_file_reads_on_and_the_next_sees_the_new(
    raw: RawWarehouse, tmp_path: Path
) -> None:
    raw.build()
    database = publish(raw.connection, tmp_path).database
    with duckdb.connect(database, read_only=True) as reader:
        raw.add_runs({"id": "r"})
        raw.build()
        # Another process would see the new file; this one shares the reader's open database.
        publish(raw.connection, tmp_path)
        assert reader.execute("select count(*) from integration_deliveries").fetchall() == [(0,)]
    assert count_deliveries(database) == 1


def test_a_publication_that_fails_leaves_the_old_files(raw: RawWarehouse, tmp_path: Path) -> None:
    raw.add_runs({"id": "r"})
    raw.build()
    publication = publish(raw.connection, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    raw.connection.execute("drop view m3ter.load_history")
    with pytest.raises(duckdb.CatalogException, match="load_history"):
        publish(raw.connection, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    raw.build()
    assert publish(raw.connection, tmp_path).parquet_files == publication.parquet_files


def test_the_log_of_an_old_file_is_not_taken_for_the_new_ones(
    raw: RawWarehouse, tmp_path: Path
) -> None:
    raw.build()
    (tmp_path / "m3ter.duckdb.wal").write_bytes(b"of a reader that wrote")
    assert count_deliveries(publish(raw.connection, tmp_path).database) == 0


def test_the_manifest_says_what_is_published_when_and_from_what(
    raw: RawWarehouse, tmp_path: Path
) -> None:
    began = datetime.now(UTC)
    raw.add_sync()
    raw.add_runs({"id": "r", "dt_started": AS_OF})
    raw.build()
    made = publish(raw.connection, tmp_path, failed_checks=["freshness"]).manifest
    assert read_manifest(tmp_path) == made
    assert began <= made.published_at <= datetime.now(UTC)
    assert made.as_of == AS_OF
    assert made.sync_id
    assert made.failed_checks == ["freshness"]
    assert made.duckdb_version == duckdb.__version__
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == made.files | {MANIFEST_NAME: sizes[MANIFEST_NAME]}
    with duckdb.connect(tmp_path / "m3ter.duckdb", read_only=True) as connection:
        for name, count in made.rows.items():
            assert connection.execute(f"select count(*) from {name}").fetchall() == [(count,)]
        assert len(made.rows) == len(connection.execute("show tables").fetchall())


def test_the_manifest_has_the_schema_version_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    _, _, table = changelog.partition("| version | change |")
    newest = re.search(r"^\| (\d[^ ]*) \|", table, re.MULTILINE)
    assert newest
    assert newest[1] == SCHEMA_VERSION


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"published_at": 7, "as_of": null}', "null"]
)
def test_a_manifest_that_is_none_is_as_good_as_none(text: str, tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    (tmp_path / MANIFEST_NAME).write_text(text)
    assert read_manifest(tmp_path) is None


def test_a_mart_that_is_no_more_goes_and_what_others_put_there_stays(
    raw: RawWarehouse, tmp_path: Path
) -> None:
    raw.build()
    made = publish(raw.connection, tmp_path)
    for name in ("renamed.parquet", "mine.parquet"):
        (tmp_path / name).write_bytes(b"PAR1")
    made.manifest.files["renamed.parquet"] = 4
    (tmp_path / MANIFEST_NAME).write_text(made.manifest.to_json())
    publish(raw.connection, tmp_path)
    assert not (tmp_path / "renamed.parquet").exists()
    assert (tmp_path / "mine.parquet").exists()


def test_what_is_published_is_for_whoever_may_read_the_folder(
    raw: RawWarehouse, tmp_path: Path
) -> None:
    raw.build()
    publish(raw.connection, tmp_path)
    umask = os.umask(0)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~umask}
