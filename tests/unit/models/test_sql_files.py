"""What every SQL file promises, and what a build does with it."""

import re
from pathlib import Path

import duckdb
import pytest

from m3ter_sync.warehouse.checks import run_checks
from m3ter_sync.warehouse.models import build_models
from m3ter_sync.warehouse.sql_files import Model, ModelError, read_header, read_models, sql_folder

from .conftest import AS_OF, RawWarehouse

MODELS = read_models()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.full_name)
def test_every_relation_and_column_says_what_it_is(model: Model) -> None:
    assert model.comment.startswith("Grain: one row"), "the first comment names the grain"
    assert "For: " in model.comment, "the second says who it is for"
    silent = [column.name for column in model.columns if not column.comment.endswith((".", "…"))]
    assert not silent, f"columns without a comment: {silent}"


def test_every_comment_is_written_into_the_database(raw: RawWarehouse) -> None:
    raw.build()
    expected = {
        (model.schema, model.name, column.name): column.comment
        for model in MODELS
        for column in model.columns
    }
    rows = raw.connection.execute(
        "select schema_name, table_name, column_name, comment from duckdb_columns()"
        " where schema_name in ('m3ter', 'm3ter_staging')"
    ).fetchall()
    assert {tuple(key): comment for *key, comment in rows} == expected
    relations = raw.connection.execute(
        "select view_name, comment from duckdb_views() where schema_name like 'm3ter%'"
        " union all select table_name, comment from duckdb_tables() where schema_name = 'm3ter'"
    ).fetchall()
    assert all(comment.startswith("Grain: ") for _, comment in relations)


@pytest.mark.parametrize("folder", ["checks", "queries"])
def test_every_check_and_query_begins_with_what_it_says(folder: str) -> None:
    for path in (sql_folder() / folder).glob("*.sql"):
        assert " ".join(read_header(path.read_text())).endswith((".", "?")), path


def test_a_column_that_is_passed_on_without_a_word_has_the_words_of_its_source(
    tmp_path: Path,
) -> None:
    folder = copy_sql(tmp_path)
    (folder / "marts" / "latest.sql").write_text(
        "-- Grain: one row.\n"
        "with runs as (select bills.bill_id as status from m3ter_staging.bills as bills)\n"
        "select\n"
        "    syncs.sync_id,\n"
        "    syncs.outcome, -- How it went.\n"
        "    syncs.error as reason,\n"
        "    syncs.nothing,\n"
        "    runs.status\n"
        "from m3ter_staging.syncs as syncs cross join runs\n"
    )
    (model,) = (each for each in read_models(folder) if each.name == "latest")
    assert {column.name: column.comment for column in model.columns} == {
        "sync_id": "The sync.",
        "outcome": "How it went.",
        "reason": "",
        "nothing": "",
        "status": "",
    }


def test_every_mart_has_a_test_of_its_rows() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    marts = {model.full_name for model in MODELS if model.schema == "m3ter"}
    assert {mart for mart in marts if not re.search(rf"\b{mart}\b", tests)} == set()


def test_an_empty_warehouse_that_was_synced_passes_every_check(raw: RawWarehouse) -> None:
    raw.add_sync()
    raw.build()
    assert [check.name for check in run_checks(raw.connection, now=AS_OF) if not check.passed] == []


def test_a_failed_check_names_the_rows(raw: RawWarehouse) -> None:
    raw.add_sync()
    raw.add_runs(
        {"id": "odd", "status": "NOVEL", "dt_started": AS_OF},
        {"id": "orphan", "parent_integration_run_id": "nobody", "dt_started": AS_OF},
        {"id": "backwards", "dt_started": AS_OF, "dt_completed": AS_OF.replace(hour=1)},
    )
    raw.build()
    stale = AS_OF.replace(month=7, day=2)
    failed = {
        check.name: check for check in run_checks(raw.connection, now=stale) if not check.passed
    }
    assert {
        name: (check.failing_row_count, check.rows[0][0]) for name, check in failed.items()
    } == {
        "statuses_known": (1, "NOVEL"),
        "parents_found": (1, "orphan"),
        "no_negative_durations": (1, "backwards"),
        "freshness": (1, AS_OF),
    }
    assert failed["parents_found"].columns[1] == "parent_run_id"


def test_a_failed_check_shows_some_rows_and_counts_all(raw: RawWarehouse) -> None:
    raw.add_runs(*({"id": f"{i}", "status": f"NOVEL {i}"} for i in range(30)))
    raw.add_sync()
    raw.build()
    (failed,) = (check for check in run_checks(raw.connection, now=AS_OF) if not check.passed)
    assert (failed.failing_row_count, len(failed.rows)) == (30, 20)


def test_checks_without_models_say_what_to_do(raw: RawWarehouse) -> None:
    with pytest.raises(ModelError, match="Run m3ter-sync models first"):
        run_checks(raw.connection)


def test_an_unknown_setting_is_refused_with_those_there_are(raw: RawWarehouse) -> None:
    with pytest.raises(ModelError, match=r"stuck_for.*stuck_after_hours"):
        raw.build(stuck_for=3)


def copy_sql(folder: Path) -> Path:
    for path in sql_folder().rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(sql_folder())
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


def test_a_model_that_fails_leaves_all_models_as_they_were(
    raw: RawWarehouse, tmp_path: Path
) -> None:
    raw.build()
    raw.add_runs({"id": "new"})
    folder = copy_sql(tmp_path)
    (folder / "marts" / "stuck_runs.sql").write_text(
        "-- Grain: one row.\nselect nothing.x as x from m3ter.integration_deliveries as nothing\n"
    )
    with pytest.raises(ModelError, match=r"m3ter\.stuck_runs: Binder Error"):
        build_models(raw.connection, folder=folder)
    assert raw.read("*", "m3ter.integration_deliveries") == []
    raw.build()
    assert raw.read("delivery_id", "m3ter.integration_deliveries") == [("new",)]


def test_a_view_can_become_a_table_and_back(raw: RawWarehouse, tmp_path: Path) -> None:
    raw.build()
    folder = copy_sql(tmp_path)
    for name, old, new in (
        ("stuck_runs", "-- For:", "-- Materialized: table\n-- For:"),
        ("integration_deliveries", "-- Materialized: table\n", ""),
    ):
        path = folder / "marts" / f"{name}.sql"
        path.write_text(path.read_text().replace(old, new, 1))
    result = build_models(raw.connection, folder=folder)
    kinds = {relation.name: relation.kind for relation in result.relations}
    assert kinds["m3ter.stuck_runs"] == "table"
    assert kinds["m3ter.integration_deliveries"] == "view"
    raw.build()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop table x", "single SELECT"),
        ("select 1", "must be named"),
        ("select * from m3ter.load_history", "must be named"),
        ("select from where", "stuck_runs.sql: "),
        ("select a.x as x from m3ter.nowhere as a", "no such model"),
        ("select a.id as id from m3ter_raw.bills as a", "a mart none"),
        ("select a.x as x from m3ter.stuck_runs as a", "in a circle"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, text: str, message: str) -> None:
    folder = copy_sql(tmp_path)
    (folder / "marts" / "stuck_runs.sql").write_text(text)
    with duckdb.connect() as connection, pytest.raises(ModelError, match=message):
        build_models(connection, folder=folder)


def test_a_warehouse_of_an_older_version_has_every_mart(raw: RawWarehouse) -> None:
    raw.add_runs({"id": "r", "dt_started": AS_OF})
    for table, column in (
        ("integration_runs", "destination"), ("integration_runs", "dt_created"),
        ("event_types", "_dlt_valid_to"), ("bills", "currency"), ("syncs", "throttled_count"),
    ):  # fmt: skip
        raw.connection.execute(f"alter table m3ter_raw.{table} drop column {column}")
    raw.build()
    columns = "delivery_id, destination, is_sandbox, started_at"
    assert raw.read(columns, "m3ter.integration_deliveries") == [("r", None, False, AS_OF)]


def test_columns_that_m3ter_adds_do_no_harm(raw: RawWarehouse) -> None:
    raw.connection.execute(
        "alter table m3ter_raw.integration_runs add column replayed_from varchar"
    )
    raw.build()
