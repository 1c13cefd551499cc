"""What the API serves is read right, or set aside with its reason; nothing else happens to it."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_sync.source.parsing import UnreadableValue, parse_datetime, parse_rows
from m3ter_sync.source.tables import (
    BILLS,
    INTEGRATION_CONFIGURATIONS,
    INTEGRATION_RUNS,
    NOTIFICATION_CONFIGURATIONS,
    TABLES,
    Table,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip

FIELDS = st.sampled_from([column.field for column in INTEGRATION_RUNS.columns]) | st.text(
    st.characters(exclude_categories=["Cs"])
)


def read_one(table: Table, **fields: Any) -> dict[str, Any]:
    parsed = parse_rows(table, [{"id": "a"} | fields])
    assert not parsed.rejected
    (row,) = parsed.table.to_pylist()
    return dict(row)


def reject_one(table: Table, row: Any) -> str:
    good = {"id": "good"}
    parsed = parse_rows(table, [good, row, good])
    assert parsed.table.column("id").to_pylist() == ["good", "good"]
    (rejected,) = parsed.rejected
    assert rejected.index == 1
    return rejected.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29T10:11:12Z", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
        ("2024-02-29T10:11:12.3Z", datetime(2024, 2, 29, 10, 11, 12, 300_000, tzinfo=UTC)),
        ("2024-02-29T10:11:12,345Z", datetime(2024, 2, 29, 10, 11, 12, 345_000, tzinfo=UTC)),
        ("2024-02-29T10:11:12.3456789Z", datetime(2024, 2, 29, 10, 11, 12, 345_678, tzinfo=UTC)),
        ("2024-02-29T10:11:12.345678901Z", datetime(2024, 2, 29, 10, 11, 12, 345_678, tzinfo=UTC)),
        ("2024-02-29T10:11:12+05:30", datetime(2024, 2, 29, 4, 41, 12, tzinfo=UTC)),
        ("2024-02-29T10:11:12-0330", datetime(2024, 2, 29, 13, 41, 12, tzinfo=UTC)),
        ("2024-02-29T10:11:12+02", datetime(2024, 2, 29, 8, 11, 12, tzinfo=UTC)),
        ("2024-02-29T10:11Z", datetime(2024, 2, 29, 10, 11, tzinfo=UTC)),
        ("2024-02-29T10:11:12", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
        ("2024-02-29 10:11:12Z", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
        ("2024-02-29t10:11:12z", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
        ("20240229T101112Z", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-W09-4", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-060", datetime(2024, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_datetime_of_any_precision_and_offset_is_read_to_the_microsecond_in_utc(
    text: str, expected: datetime
) -> None:
    assert parse_datetime(text) == expected
    assert read_one(INTEGRATION_RUNS, dtStarted=text)["dt_started"] == expected


@pytest.mark.parametrize(
    "text",
    [
        "yesterday", "2024-02-30T00:00:00Z", "2024-13-01", "10:11:12", "P1D", "2024", "2024-1-1",
        "2024-01-01/2024-01-02", "1704067200", " ", "\x00",
        "\u0661\u0662\u0663\u0664-01-01T00:00:00Z",
        # In UTC these lie before the first year or after the last.
        "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "0000-01-01T00:00:00Z",
        "2024-01-01T00:00:00+24:00",
    ],
)  # fmt: skip
def test_a_date_that_is_none_rejects_its_row_alone(text: str) -> None:
    with pytest.raises(UnreadableValue):
        parse_datetime(text)
    assert reject_one(INTEGRATION_RUNS, {"id": "a", "dtStarted": text}).startswith("dtStarted: ")


@given(
    st.datetimes(timezones=st.builds(timezone, st.timedeltas(
        timedelta(hours=-23), timedelta(hours=23)).map(
            lambda offset: timedelta(minutes=offset // timedelta(minutes=1))))),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)  # fmt: skip
def test_a_column_of_dates_is_read_as_each_date_by_itself(moment: datetime, spec: str) -> None:
    text = moment.isoformat(timespec=spec)
    try:
        expected = parse_datetime(text)
    except UnreadableValue:
        reject_one(INTEGRATION_RUNS, {"id": "a", "dtStarted": text})
        return
    assert read_one(INTEGRATION_RUNS, dtStarted=text)["dt_started"] == expected


@pytest.mark.parametrize("value", ["", None])
def test_a_date_that_is_empty_is_missing(value: str | None) -> None:
    assert read_one(INTEGRATION_RUNS, dtStarted=value)["dt_started"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"), ("0.1", "0.1"), (12, "12"), (-3.5, "-3.5"), ("1e3", "1000"), (1e22, "1e22"),
        (12345678901234567, "12345678901234567"), ("0.1234567894", "0.123456789"),
        ("12345678901234567890123456789.123456789", "12345678901234567890123456789.123456789"),
    ],
)  # fmt: skip
def test_an_amount_is_read_to_nine_decimals_without_a_detour_by_binary(
    value: Any, expected: str
) -> None:
    assert read_one(BILLS, billTotal=value)["bill_total"] == Decimal(expected)


@pytest.mark.parametrize(
    "value", ["NaN", "sNaN", "Infinity", "-inf", "1e29", "twelve", True, {"amount": 1}, [1], ""]
)
def test_an_amount_that_is_none_rejects_its_row(value: Any) -> None:
    assert reject_one(BILLS, {"id": "a", "billTotal": value}).startswith("billTotal: ")


@pytest.mark.parametrize("value", [7, "7", 7.0, "+7"])
def test_a_number_may_come_as_text(value: Any) -> None:
    assert read_one(INTEGRATION_RUNS, version=value)["version"] == 7


@pytest.mark.parametrize("value", [2**63, "seven", 7.5, True, {}, "7" * 20])
def test_a_version_that_is_no_whole_number_rejects_its_row(value: Any) -> None:
    assert reject_one(INTEGRATION_RUNS, {"id": "a", "version": value}).startswith("version: ")


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": ""}, None, [], "row", 7])
def test_a_row_without_an_id_is_rejected(row: Any) -> None:
    assert reject_one(INTEGRATION_RUNS, row)


def test_a_rejected_row_keeps_its_source_and_its_id() -> None:
    row = {"id": "a", "dtStarted": "soon", "more": {"of": ["it"]}}
    (rejected,) = parse_rows(INTEGRATION_RUNS, [row]).rejected
    assert orjson.loads(rejected.source) == row
    assert rejected.id == "a"


def test_what_might_be_a_credential_never_gets_into_a_rejected_row() -> None:
    row = {"id": "a", "dtCreated": "soon", "configData": {"key": "s3cret"}, "apiKey": "s3cret"}
    (rejected,) = parse_rows(INTEGRATION_CONFIGURATIONS, [row]).rejected
    assert "s3cret" not in repr(rejected)
    (rejected,) = parse_rows(INTEGRATION_CONFIGURATIONS, [["s3cret"]]).rejected
    assert "s3cret" not in repr(rejected)


def test_a_link_is_read_without_fields_that_nobody_named() -> None:
    assert "s3cret" not in repr(read_one(INTEGRATION_CONFIGURATIONS, configData={"key": "s3cret"}))


def test_an_unknown_field_becomes_a_column_of_text_and_json() -> None:
    row = read_one(INTEGRATION_RUNS, replayedFrom="b", attempts=3, labels={"b": [1, None]})
    assert row["replayed_from"] == "b"
    assert row["attempts"] == "3"
    assert orjson.loads(row["labels"]) == {"b": [1, None]}


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("ID", "field_id"), ("entity_id", "field_entity_id"), ("_dltLoadId", "field__dlt_load_id"),
        ("Über Feld", "_ber_feld"), ("", "field"), ("  ", "field"), ("isNew", "is_new"),
        ("select", "select"),
    ],
)  # fmt: skip
def test_an_unknown_field_never_takes_another_columns_name(field: str, column: str) -> None:
    row = read_one(INTEGRATION_RUNS, **{field: "odd", "entityId": "e"})
    assert row["id"] == "a"
    assert row["entity_id"] == "e"
    assert [name for name, value in row.items() if value == "odd"] == [column]


def test_two_unknown_fields_of_one_name_are_both_kept() -> None:
    row = read_one(INTEGRATION_RUNS, fooBar="one", foo_bar="two", FooBar="three")
    assert {"one", "two", "three"} <= set(row.values())


@given(st.lists(st.dictionaries(FIELDS, JSON, max_size=5), max_size=4))
@pytest.mark.parametrize("table", [INTEGRATION_RUNS, BILLS, NOTIFICATION_CONFIGURATIONS])
def test_whatever_is_served_each_row_is_read_or_rejected(table: Table, rows: list[Any]) -> None:
    parsed = parse_rows(table, rows)
    assert parsed.table.num_rows + len(parsed.rejected) == len(rows)
    assert parsed.table.select(table.arrow_schema.names).schema == table.arrow_schema
    assert len(set(parsed.table.column_names)) == parsed.table.num_columns
    parsed.table.to_pylist()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_described_and_typed_the_same_for_arrow_and_dlt(table: Table) -> None:
    hints = table.hints()
    assert list(hints) == table.arrow_schema.names
    for column in table.columns:
        assert column.description.endswith((".", "…")) or ";" in column.description
        assert hints[column.name]["nullable"] is not column.is_required
        if column.type == "timestamp":
            assert table.arrow_schema.field(column.name).type == pa.timestamp("us", tz="UTC")
            assert hints[column.name]["timezone"] is True
    assert set(table.primary_key) <= set(hints)


def test_a_value_that_is_nested_too_deeply_rejects_its_row_and_no_other() -> None:
    deep = orjson.loads("[" * 1000 + "]" * 1000)
    rows = [{"id": "a", "new": deep}, {"id": "b"}, {"id": "c", "error": deep, "status": "ERROR"}]
    parsed = parse_rows(INTEGRATION_RUNS, [*rows, deep])
    assert parsed.table.column("id").to_pylist() == ["b"]
    reasons = {row.index: (row.id, row.reason) for row in parsed.rejected}
    assert reasons == {
        0: ("a", "new: the value is nested too deeply to be kept"),
        2: ("c", "error: the value is nested too deeply to be kept"),
        3: (None, "the row is not an object"),
    }
    assert {row.index: orjson.loads(row.source) for row in parsed.rejected} == {
        0: {"id": "a", "new": "(the value is nested too deeply to be kept)"},
        2: {"id": "c", "status": "ERROR", "error": "(the value is nested too deeply to be kept)"},
        3: "(the value is nested too deeply to be kept)",
    }
