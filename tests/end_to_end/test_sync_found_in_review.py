"""Found by readers of the code, each once true: kept so that none comes back."""

import logging
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import NOW, Warehouse

from m3ter_sync.sandbox import Sandbox, build_world
from m3ter_sync.source import m3ter_source
from m3ter_sync.warehouse import memory
from m3ter_sync.warehouse.location import Location, WarehouseMisplaced
from m3ter_sync.warehouse.sync import Sync, SyncOptions
from m3ter_sync.warehouse.verify import verify


def test_an_unknown_field_that_looks_like_a_date_stays_text(warehouse: Warehouse) -> None:
    notification = next(iter(warehouse.sandbox.world.notification_configurations.values()))
    for value in ("2025-12-01T00:00:00Z", "never"):
        notification["snoozedUntil"] = value
        warehouse.sync()
        held = warehouse.rows("notification_configurations")[notification["id"]]
        assert held["snoozed_until"] == value


@pytest.mark.parametrize(
    "first", [SyncOptions(), SyncOptions(entity_types=["Notification"])], ids=["all", "limited"]
)
def test_two_organizations_are_never_mixed(warehouse: Warehouse, first: SyncOptions) -> None:
    warehouse.sync(first)
    held = warehouse.rows("integration_runs")
    with Sandbox(build_world(seed=9, now=NOW, bills=5, runs=50)) as other:
        other.behaviour.org_id = "another-organization"
        foreign = Warehouse(other, Path())
        settings = foreign.settings()
        with pytest.raises(WarehouseMisplaced, match="another-organization"):
            Sync(settings, warehouse.location).run()
        with pytest.raises(WarehouseMisplaced, match="another-organization"):
            verify(settings, warehouse.location, is_all=True, repairs=True)
    assert warehouse.rows("integration_runs") == held


def test_a_bill_that_answered_404_once_is_asked_again(warehouse: Warehouse) -> None:
    sandbox = warehouse.sandbox
    bill_id = next(iter(sandbox.world.bills))
    from starlette.responses import JSONResponse

    sandbox.behaviour.on_request = lambda asked: (
        JSONResponse({"message": "none"}, 404) if asked.path.endswith(bill_id) else None
    )
    assert warehouse.sync().entities_gone == [f"Bill {bill_id}"]
    sandbox.behaviour.on_request = None
    assert warehouse.sync().entities_gone == []
    warehouse.assert_equals_the_world()


def test_a_bill_with_an_odd_id_stops_nobody(warehouse: Warehouse) -> None:
    world = warehouse.sandbox.world
    odd = dict(next(iter(world.bills.values()))) | {"id": "legacy/4711"}
    world.bills["legacy/4711"] = odd
    assert warehouse.sync().outcome == "succeeded"
    assert "legacy/4711" in warehouse.rows("bills")
    warehouse.assert_equals_the_world()


def test_a_folder_publishes_one_database(
    sandbox: Sandbox, open_warehouse: Callable[..., Warehouse]
) -> None:
    warehouse = open_warehouse(sandbox)
    settings = warehouse.settings()
    Sync(settings, warehouse.location).run()
    second = Location.of(warehouse.location.folder / "second.duckdb")
    with pytest.raises(WarehouseMisplaced, match="a folder of its own"):
        Sync(settings, second).run()
    assert not second.database.exists()
    assert Sync(settings, warehouse.location).run().outcome == "succeeded"


def test_a_run_that_does_not_say_whose_it_is_is_the_entitys_that_was_asked(
    warehouse: Warehouse,
) -> None:
    run = next(iter(warehouse.sandbox.world.listed_runs().values()))
    entity_id = run["entityId"]
    from m3ter_sync.source.fan_out import Entity, _name_entity

    (named,) = _name_entity([run | {"entityId": None}], Entity("Bill", entity_id))
    assert named["entityId"] == entity_id


def test_a_bill_that_cannot_be_read_is_kept_apart_also_when_only_bills_are_loaded(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    import dlt

    bill = next(iter(warehouse.sandbox.world.bills.values()))
    bill["dueDate"] = "soon"
    pipeline = dlt.pipeline(
        "alone",
        destination=dlt.destinations.duckdb(str(tmp_path / "alone.duckdb")),
        dataset_name="raw",
        pipelines_dir=str(tmp_path / "dlt"),
    )
    source = m3ter_source(settings=warehouse.settings())
    pipeline.run(source.with_resources("bills"), loader_file_format="parquet")
    with pipeline.sql_client() as client:
        counts = client.execute_sql(
            "select (select count(*) from bills), (select count(*) from rejected_rows)"
        )
    assert counts == [(len(warehouse.sandbox.world.bills) - 1, 1)]


def test_what_cannot_be_read_is_asked_for_until_it_can(warehouse: Warehouse) -> None:
    """Found: a rejected run was rejected once, then forgotten until the next sweep."""
    world = warehouse.sandbox.world
    run = min(world.integration_runs.values(), key=lambda run: run["dtCreated"])
    bill = min(world.bills.values(), key=lambda bill: bill["billDate"])
    sound = run["dtCompleted"], bill["billDate"]
    run["dtCompleted"], bill["billDate"] = "soon", "later"
    for _ in range(3):
        summary = warehouse.sync()
        assert (summary.outcome, summary.rejected_count) == ("succeeded", 2)
    run["dtCompleted"], bill["billDate"] = sound
    assert warehouse.sync().rejected_count == 0
    warehouse.assert_equals_the_world()


def test_verify_does_not_agree_to_what_it_cannot_read(warehouse: Warehouse) -> None:
    """Found: a run that could not be read was not compared, or called "not served"."""
    held, new = list(warehouse.sandbox.world.integration_runs.values())[:2]
    new["dtCompleted"] = "soon"
    warehouse.sync()
    held["dtCompleted"] = "soon"
    found = verify(warehouse.settings(), warehouse.location, is_all=True)
    assert {(each.kind, each.run_id) for each in found.differences} == {
        ("unreadable", held["id"]), ("unreadable", new["id"]),
    }  # fmt: skip
    assert not found.is_clean


def test_texts_that_are_larger_than_the_memory_allowed_are_loaded_and_compared(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: a load that ran out of what DuckDB was allowed failed, at every sync; then dlt
    logged five tracebacks of what was in hand."""
    # dlt's logger hands nothing on to where caplog listens.
    logging.getLogger("dlt").addHandler(caplog.handler)
    monkeypatch.setattr(memory, "_BYTES_A_THREAD", 10_000_000)
    world = warehouse.sandbox.world
    chance = random.Random(1)
    for run in world.integration_runs.values():
        run["error"] = chance.randbytes(20_000).hex()
    with caplog.at_level("INFO"):
        warehouse.sync()
        assert "The load needs more memory" in caplog.text
        loud = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert not [record for record in loud if record.name == "dlt"]
        for run in world.integration_runs.values():
            run["version"] += 1
        warehouse.sync(SyncOptions(is_full=True))
    warehouse.assert_equals_the_world()
