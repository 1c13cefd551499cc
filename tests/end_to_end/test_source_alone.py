"""The source needs no warehouse of ours: any dlt pipeline loads it."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow.dataset
import pytest

from m3ter_sync import m3ter_source
from m3ter_sync.sandbox import Sandbox, World, build_world
from m3ter_sync.settings import Settings, load_settings

NOW = datetime(2025, 11, 3, 6, tzinfo=UTC)
TABLES = {
    "integration_runs", "notification_configurations", "integration_configurations", "bills",
    "event_types",
}  # fmt: skip


@pytest.fixture
def world() -> World:
    return build_world(now=NOW, bills=12, notifications=12, runs=150)


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    return load_settings(
        org_id=sandbox.org_id,
        access_key_id=sandbox.access_key_id,
        api_secret=sandbox.api_secret,
        base_url=sandbox.base_url,
        requests_per_second=100_000,
    )


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Any], Callable[[str], list[Any]]]:
    """Loads a source into a dataset of another name, and returns what queries it."""
    database = tmp_path / "elsewhere.duckdb"

    def run(source: Any) -> Callable[[str], list[Any]]:
        pipeline = dlt.pipeline(
            "apart",
            destination=dlt.destinations.duckdb(str(database)),
            dataset_name="my_data",
            pipelines_dir=str(tmp_path / "pipelines"),
        )
        pipeline.run(source)

        def query(sql: str) -> list[Any]:
            with duckdb.connect(database, read_only=True) as connection:
                connection.execute("use my_data")
                return [
                    row[0] if len(row) == 1 else row for row in connection.execute(sql).fetchall()
                ]

        return query

    return run


def test_it_loads_everything_into_a_dataset_of_any_name(
    world: World, settings: Settings, load: Any
) -> None:
    for _ in range(2):
        query = load(m3ter_source(settings=settings))
        assert set(query("select id from integration_runs")) == set(world.listed_runs())
        assert set(query("select id from bills")) == set(world.bills)
        current = "select id from notification_configurations where _dlt_valid_to is null"
        assert set(query(current)) == set(world.notification_configurations)
        assert len(query("select id from integration_runs")) == len(world.listed_runs())
        versions = query("select count(*) from integration_configurations")
        assert versions == [len(world.integration_configurations)], "nothing changed"
        world.now += timedelta(minutes=1)


def test_it_asks_for_nothing_until_it_is_extracted(sandbox: Sandbox, settings: Settings) -> None:
    source = m3ter_source(settings=settings)
    assert set(source.resources) == TABLES
    assert sandbox.requests == []


def test_all_tables_exist_for_an_organization_that_has_nothing(load: Any) -> None:
    world = build_world(now=NOW, bills=0, notifications=0, runs=0)
    world.integration_configurations.clear()
    world.event_types.clear()
    with Sandbox(world) as sandbox:
        query = load(
            m3ter_source(
                settings=load_settings(
                    org_id=sandbox.org_id,
                    access_key_id=sandbox.access_key_id,
                    api_secret=sandbox.api_secret,
                    base_url=sandbox.base_url,
                )
            )
        )
    for table in TABLES:
        assert query(f"select count(*) from {table}") == [0]


def test_a_filtered_listing_closes_no_other_configuration(
    world: World, settings: Settings, load: Any
) -> None:
    load(m3ter_source(settings=settings))
    edited, other = list(world.notification_configurations.values())[:2]
    world.deliveries.change(edited, int(NOW.timestamp() * 1000), description="edited")
    world.deliveries.change(other, int(NOW.timestamp() * 1000), description="edited too")
    for filters in ({"ids": [edited["id"]]}, {"active": True}, {"event_name": "nobody.knows"}):
        query = load(m3ter_source(settings=settings, **filters))
        current = "select id from notification_configurations where _dlt_valid_to is null"
        assert sorted(query(current)) == sorted(world.notification_configurations), filters
    history = f"select description from notification_configurations where id = '{edited['id']}'"
    assert len(query(history)) == 2
    del world.notification_configurations[other["id"]]
    query = load(m3ter_source(settings=settings))
    assert sorted(query(current)) == sorted(world.notification_configurations)


def test_it_takes_the_query_parameters_of_the_endpoint(
    sandbox: Sandbox, world: World, settings: Settings, load: Any
) -> None:
    run = max(world.integration_runs.values(), key=lambda run: run["dtCreated"])
    query = load(
        m3ter_source(
            settings=settings,
            entity_types=[run["entityType"]],
            entity_ids=[run["entityId"]],
            start_date=NOW - timedelta(days=60),
            end_date=NOW,
            status="COMPLETE",
            order="DESC",
        ).with_resources("integration_runs")
    )
    (asked,) = [each for each in sandbox.requests if "/integrationruns/" in each.path]
    assert asked.path.endswith(f"/{run['entityType']}/{run['entityId']}")
    assert asked.params == {
        "startDate": ["2025-09-04T06:00:00.000000Z"], "endDate": ["2025-11-03T06:00:00.000000Z"],
        "status": ["COMPLETE"], "order": ["DESC"], "pageSize": ["200"],
    }  # fmt: skip
    assert set(query("select status from integration_runs")) <= {"COMPLETE"}


def test_entity_ids_need_one_entity_type(settings: Settings) -> None:
    with pytest.raises(ValueError, match="one entity type"):
        m3ter_source(settings=settings, entity_ids=["a"])


@pytest.mark.filterwarnings("ignore::Warning")
def test_it_loads_parquet_files(world: World, settings: Settings, tmp_path: Path) -> None:
    pipeline = dlt.pipeline(
        "files",
        destination=dlt.destinations.filesystem((tmp_path / "lake").as_uri()),
        dataset_name="m3ter",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    pipeline.run(
        m3ter_source(settings=settings).with_resources("integration_runs", "bills"),
        loader_file_format="parquet",
    )
    folder = tmp_path / "lake" / "m3ter" / "integration_runs"
    rows = pyarrow.dataset.dataset(folder, format="parquet").to_table()
    assert set(rows.column("id").to_pylist()) == set(world.listed_runs())
