"""The published copy: whole, commented, and never half-written."""

from pathlib import Path

import duckdb
import pytest

from m3ter_sync.warehouse.location import PUBLISHER_FILE
from m3ter_sync.warehouse.models import published_relations
from m3ter_sync.warehouse.publish import publish

from .conftest import AS_OF, RawWarehouse


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
        tmp_path / PUBLISHER_FILE,
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
    assert publish(raw.connection, tmp_path) == publication


def test_the_log_of_an_old_file_is_not_taken_for_the_new_ones(
    raw: RawWarehouse, tmp_path: Path
) -> None:
    raw.build()
    (tmp_path / "m3ter.duckdb.wal").write_bytes(b"of a reader that wrote")
    assert count_deliveries(publish(raw.connection, tmp_path).database) == 0
