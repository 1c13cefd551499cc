"""The names of columns say what they hold: a reader need not look at the type."""

import duckdb
import pytest

from m3ter_sync.warehouse.models import build_models

from .conftest import RawWarehouse

Column = tuple[str, str, str]

ENDINGS = {"TIMESTAMP WITH TIME ZONE": "_at", "DATE": "_on"}
# Names that say more than the ending would, or that are given: by the definitions of the metrics,
# by m3ter, by the configuration.
GIVEN = {
    "as_of": "TIMESTAMP WITH TIME ZONE",
    "since": "TIMESTAMP WITH TIME ZONE",
    # The smallest `since`.
    "oldest_since": "TIMESTAMP WITH TIME ZONE",
    # The instant itself is outside, which no "starts_at" would say; `ends_at` is inside.
    "starts_after": "TIMESTAMP WITH TIME ZONE",
    # m3ter's alwaysFireEvent.
    "always_fires": "BOOLEAN",
    "first_attempt_failed": "BOOLEAN",
    "counts_sandbox": "BOOLEAN",
    "in_failure_rate": "VARCHAR",
}
NUMBERS = ("BIGINT", "INTEGER", "HUGEINT", "DOUBLE")


@pytest.fixture(scope="module")
def columns() -> list[Column]:
    """Relation, column and type of all that the models made."""
    with duckdb.connect() as connection:
        RawWarehouse(connection)
        build_models(connection)
        rows = connection.execute(
            "select schema_name || '.' || table_name, column_name, data_type"
            " from duckdb_columns() where schema_name in ('m3ter', 'm3ter_staging')"
        ).fetchall()
    assert {name: data_type for _, name, data_type in rows if name in GIVEN} == GIVEN
    return [row for row in rows if row[1] not in GIVEN]


def test_instants_end_in_at_and_days_in_on(columns: list[Column]) -> None:
    for relation, name, data_type in columns:
        ending = ENDINGS.get(data_type)
        if ending:
            assert name.endswith(ending), f"{relation}.{name} is a {data_type}"
        else:
            assert not name.endswith(("_at", "_on")), f"{relation}.{name} is a {data_type}"


def test_truths_and_nothing_else_begin_with_is_or_has(columns: list[Column]) -> None:
    for relation, name, data_type in columns:
        is_named_so = name.startswith(("is_", "has_"))
        assert is_named_so == (data_type == "BOOLEAN"), f"{relation}.{name} is a {data_type}"


def test_counts_are_whole_and_rates_and_seconds_are_not(columns: list[Column]) -> None:
    for relation, name, data_type in columns:
        if name.endswith("_count"):
            assert data_type == "BIGINT", f"{relation}.{name} is a {data_type}"
        if name.endswith(("_rate", "_rate_low", "_rate_high", "_seconds")):
            assert data_type == "DOUBLE", f"{relation}.{name} is a {data_type}"


def test_every_number_says_what_it_counts(columns: list[Column]) -> None:
    kinds = ("_count", "_rate", "_rate_low", "_rate_high", "_seconds", "_days", "_hours")
    # m3ter's own number, one that only orders, and one that the definitions name.
    given = ("version", "sync_number", "seconds_to_recover")
    for relation, name, data_type in columns:
        if data_type in NUMBERS:
            assert name.endswith(kinds) or name in given, f"{relation}.{name} is a {data_type}"


def test_a_rate_stands_beside_its_interval(columns: list[Column]) -> None:
    names = {(relation, name) for relation, name, _ in columns}
    for relation, name, _ in columns:
        if name.endswith("_rate"):
            assert {(relation, f"{name}_low"), (relation, f"{name}_high")} <= names


def test_ids_are_text(columns: list[Column]) -> None:
    for relation, name, data_type in columns:
        if name.endswith("_id"):
            assert data_type == "VARCHAR", f"{relation}.{name} is a {data_type}"
