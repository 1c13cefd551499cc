"""Odd rows are loaded as they are served, or set aside; they are never in the way of the others."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from m3ter_sync.sandbox import FAKE_CREDENTIAL, Sandbox, World, build_world

NOW = datetime(2025, 11, 3, 6, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return build_world(now=NOW, bills=12, notifications=12, runs=150, open_runs=2)


@pytest.fixture
def a_run(world: World) -> dict[str, Any]:
    """One run at rest, to be changed at will."""
    return next(row for row in world.integration_runs.values() if row["status"] == "COMPLETE")


def test_an_organization_that_has_nothing_gets_all_tables_empty(
    open_warehouse: Callable[..., Any],
) -> None:
    world = build_world(now=NOW, bills=0, notifications=0, runs=0)
    world.integration_configurations.clear()
    world.event_types.clear()
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox)
        for _ in range(2):
            assert warehouse.sync().outcome == "succeeded"
            warehouse.assert_equals_the_world()
            assert all(rows == [] for rows in warehouse.dump().values())
            (row,) = warehouse.query("from m3ter_raw.entities")
            assert row["entity_type"] == "Organization"
        world.event_types.append("scheduled.first.one")
        warehouse.sync()
        warehouse.assert_equals_the_world()


def test_dates_of_any_form_are_the_same_in_the_warehouse(
    open_warehouse: Callable[..., Any],
) -> None:
    world = build_world(now=NOW, bills=12, runs=200, varied_timestamps=True)
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox)
        for _ in range(2):
            warehouse.sync()
            warehouse.assert_equals_the_world()
            world.advance(1)


TEXTS = [
    "a\x00b",
    "🧾 ünïcödé \u202e ﷽",
    "x" * 3_000_000,
    "{\"json\": 'in \\\\ it'}\r\n\t; drop table integration_runs; --",
    "",
]


def test_any_text_is_held_as_it_was_served(world: World, warehouse: Any) -> None:
    texts = dict(zip(world.integration_runs, TEXTS, strict=False))
    for run_id, text in texts.items():
        world.integration_runs[run_id]["error"] = text
    warehouse.sync()
    held = warehouse.rows("integration_runs")
    assert {run_id: held[run_id]["error"] for run_id in texts} == texts
    before = warehouse.dump()
    warehouse.sync()
    assert warehouse.dump() == before


def test_half_a_character_costs_that_character_alone(a_run: Any, warehouse: Any) -> None:
    """Found: one text that had been cut within an emoji made every sync fail."""
    world = warehouse.sandbox.world

    def answer(log: Any) -> Any:
        if not log.path.endswith(f"/{a_run['entityId']}"):
            return None
        runs = list(world.integration_runs.of(a_run["entityType"], a_run["entityId"]))
        body = orjson.dumps({"data": runs}).replace(
            orjson.dumps(a_run), orjson.dumps(a_run | {"error": "cut @"}).replace(b"@", b"\\ud83d")
        )
        return _json(body)

    warehouse.sandbox.behaviour.on_request = answer
    warehouse.sync()
    assert warehouse.rows("integration_runs")[a_run["id"]].pop("error") == "cut \ufffd"
    warehouse.sandbox.behaviour.on_request = None
    warehouse.sync(full_sweep_days=0)
    warehouse.assert_equals_the_world()


def test_nulls_everywhere_are_nulls(world: World, a_run: Any, warehouse: Any) -> None:
    kept = ("id", "entityType", "entityId", "status", "destination", "dtCreated", "dtStarted")
    for field in a_run.keys() - set(kept):
        a_run[field] = None
    for bill in world.bills.values():
        for field in bill.keys() - {"id", "dtCreated", "accountId", "billDate"}:
            bill[field] = None
    for row in world.notification_configurations.values():
        for field in row.keys() - {"id", "name", "code", "description", "dtCreated"}:
            row[field] = None
    for _ in range(2):
        warehouse.sync()
        warehouse.assert_equals_the_world()


def test_numbers_that_come_as_text_are_numbers(a_run: Any, warehouse: Any) -> None:
    a_run["version"] = "12"
    warehouse.sync()
    assert warehouse.rows("integration_runs")[a_run["id"]]["version"] == 12


def test_unknown_fields_appear_as_columns_and_nested_ones_as_json(warehouse: Any) -> None:
    faults = warehouse.sandbox.behaviour.faults
    warehouse.sync()
    faults.extra_fields = {"replayedFrom": "a", "labels": {"b": [1, None]}, "isNew": True}
    summary = warehouse.sync(full_sweep_days=0)
    for table in ("integration_runs", "bills", "notification_configurations"):
        for row in warehouse.rows(table).values():
            assert row["replayed_from"] == "a"
            assert orjson.loads(row["labels"]) == {"b": [1, None]}
            assert row["is_new"] == "true"
    assert "labels" not in next(iter(warehouse.rows("integration_configurations").values()))
    held = len(warehouse.rows("integration_runs"))
    assert summary.tables["integration_runs"].changed == held
    before = warehouse.dump()
    warehouse.sync(full_sweep_days=0)
    assert warehouse.dump() == before


def test_a_field_whose_type_changes_wedges_no_load(warehouse: Any) -> None:
    faults = warehouse.sandbox.behaviour.faults
    for value in (1, "one", {"a": [1]}, None, "2024-01-01T00:00:00Z", 1.5, True):
        faults.extra_fields = {"odd": value}
        assert warehouse.sync(full_sweep_days=0).outcome == "succeeded"
        held = {row.get("odd") for row in warehouse.rows("integration_runs").values()}
        assert held == {value if value is None or isinstance(value, str) else _text(value)}


def test_fields_whose_names_collide_are_all_kept(warehouse: Any) -> None:
    odd = {"ID": "1", "_dltId": "2", "fooBar": "3", "foo_bar": "4", "": "5", "SELECT": "6"}
    warehouse.sandbox.behaviour.faults.extra_fields = odd
    for _ in range(2):
        assert warehouse.sync(full_sweep_days=0).outcome == "succeeded"
        for table in ("integration_runs", "bills", "notification_configurations"):
            for row in warehouse.rows(table).values():
                assert set(odd.values()) <= set(row.values())


def test_rejected_rows_are_counted_named_and_kept_once(
    world: World, a_run: Any, warehouse: Any
) -> None:
    a_run["dtCompleted"] = "soon"
    link = next(iter(world.integration_configurations.values()))
    link["dtLastModified"] = "soon"
    for _ in range(2):
        summary = warehouse.sync()
        assert summary.outcome == "succeeded"
        assert summary.rejected_count == 2
        found = warehouse.query("from m3ter_raw.rejected_rows")
        rejected = {row["table_name"]: row for row in found}
        assert rejected.keys() == {"integration_runs", "integration_configurations"}
        assert len(found) == 2
        run = rejected["integration_runs"]
        assert run["reason"] == "dtCompleted: 'soon' is not a date"
        assert (run["entity_type"], run["entity_id"]) == (a_run["entityType"], a_run["entityId"])
        assert orjson.loads(run["source"])["id"] == a_run["id"]
        assert warehouse.rows("integration_runs").keys() == (
            world.integration_runs.keys() - {a_run["id"]}
        ), "it stops no other row"
    before = warehouse.dump()
    warehouse.sync()
    assert warehouse.dump() == before
    assert FAKE_CREDENTIAL not in repr(before)


def test_a_rejected_row_leaves_the_version_that_is_held(
    world: World, a_run: Any, warehouse: Any
) -> None:
    warehouse.sync()
    held = warehouse.rows("integration_runs")[a_run["id"]]
    world.change_run(a_run["id"], status="ERROR", dtCompleted="soon")
    assert warehouse.sync(full_sweep_days=0).rejected_count == 1
    assert warehouse.rows("integration_runs")[a_run["id"]] == held


def test_a_rejected_bill_hides_none_of_its_runs(world: World, warehouse: Any) -> None:
    """Found: the runs of a bill whose date could not be read were never asked for."""
    bill = min(world.bills.values(), key=lambda row: row["dtCreated"])
    bill["billDate"] = "someday"
    assert warehouse.sync().rejected_count == 1
    assert bill["id"] not in warehouse.rows("bills")
    for _ in range(2):
        held = warehouse.rows("integration_runs")
        assert held.keys() == world.integration_runs.keys()
        at = int(datetime.now(UTC).timestamp() * 1000)
        world.integration_runs.update({row["id"]: row for row in world.send_bill(bill, at, at)})
        warehouse.sync()


@pytest.mark.parametrize("table", ["notification_configurations", "integration_configurations"])
def test_a_rejected_row_closes_no_history(table: str, world: World, warehouse: Any) -> None:
    warehouse.sync()
    before = warehouse.rows(table)
    objects = getattr(world, table)
    broken, gone, *_ = list(objects)
    objects[broken]["dtLastModified"] = "soon"
    del objects[gone]
    warehouse.sync()
    assert warehouse.rows(table) == before, "with a row unread the listing proves nothing deleted"
    objects[broken]["dtLastModified"] = "2025-11-03T05:00:00Z"
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_rejected_rows_are_no_shrinkage(world: World, warehouse: Any) -> None:
    """Found: a date format that nobody reads looked like a listing that lost most of its rows."""
    warehouse.sync()
    for link in world.integration_configurations.values():
        link["dtLastModified"] = "soon"
    count = len(world.integration_configurations)
    assert warehouse.sync().rejected_count == count
    assert len(warehouse.rows("integration_configurations")) == count


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _json(body: bytes) -> Any:
    from starlette.responses import Response

    return Response(body, media_type="application/json")
