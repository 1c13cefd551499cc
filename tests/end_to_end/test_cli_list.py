"""`m3ter-sync list` asks the API live: every query parameter reaches it, and nothing is loaded."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import Result

from m3ter_sync.sandbox import Row, Sandbox, World

Run = Callable[..., Result]


def pick_bill(world: World) -> str:
    """The bill with the most runs."""
    runs = [run["entityId"] for run in world.listed_runs().values() if run["entityType"] == "Bill"]
    return max(world.bills, key=runs.count)


def runs_of(world: World, bill: str) -> dict[str, Row]:
    return {key: run for key, run in world.integration_runs.items() if run["entityId"] == bill}


def test_runs_are_printed_as_the_api_serves_them(run: Run, world: World) -> None:
    bill = pick_bill(world)
    result = run("list", "runs", "--entity-type", "bill", "--entity-id", bill, "--json")
    assert {row["id"]: row for row in orjson.loads(result.stdout)} == runs_of(world, bill)


def test_every_parameter_of_the_runs_reaches_the_api(
    run: Run, world: World, sandbox: Sandbox
) -> None:
    result = run(
        *("list", "runs", "--entity-type", "Bill", "--entity-id", pick_bill(world)),
        *("--start-date", "2025-09-01", "--end-date", "2025-10-01T02:00:00+02:00"),
        *("--status", "COMPLETE", "--order", "desc", "--page-size", "3"),
    )
    assert result.exit_code == 0
    assert sandbox.requests[1].params == {
        "startDate": ["2025-09-01T00:00:00.000000Z"],
        "endDate": ["2025-10-01T00:00:00.000000Z"],
        "status": ["COMPLETE"],
        "order": ["DESC"],
        "pageSize": ["3"],
    }


def test_every_parameter_of_the_notifications_reaches_the_api(
    run: Run, world: World, sandbox: Sandbox
) -> None:
    first, second = list(world.notification_configurations)[:2]
    result = run(
        *("list", "notifications", "--inactive", "--event-name", "billing.bill.created"),
        *("--id", first, "--id", second, "--page-size", "7"),
    )
    assert result.exit_code == 0
    assert sandbox.requests[1].params == {
        "active": ["false"],
        "eventName": ["billing.bill.created"],
        "ids": [first, second],
        "pageSize": ["7"],
    }


@pytest.mark.parametrize("page_size", ["1", "13", "100"])
def test_a_table_has_a_line_a_row_however_many_pages(
    run: Run, world: World, page_size: str
) -> None:
    result = run("list", "notifications", "--active", "--page-size", page_size, "--quiet")
    head, rule, *lines = result.stdout.splitlines()
    assert head.split() == ["id", "code", "active", "eventName", "name"]
    assert set(rule) == {"-", " "}
    active = {key for key, row in world.notification_configurations.items() if row.get("active")}
    assert {line.split()[0] for line in lines} == active
    assert result.stderr == f"\n{len(active)} notification configurations\n"


def test_nothing_found_is_an_empty_answer_of_each_format(run: Run) -> None:
    nothing = ("list", "notifications", "--event-name", "no.such.event")
    assert orjson.loads(run(*nothing, "--json").stdout) == []
    assert run(*nothing, "--format", "jsonl").stdout == ""
    assert run(*nothing, "--format", "csv").stdout.startswith("id,code,name,")
    assert run(*nothing).stdout.startswith("id  code")


def test_csv_and_json_lines_hold_all_rows(run: Run, world: World) -> None:
    wanted = set(world.notification_configurations)
    args = ("list", "notifications", "--page-size", "9", "--format")
    rows = list(csv.DictReader(io.StringIO(run(*args, "csv").stdout)))
    assert {row["id"] for row in rows} == wanted
    assert {row["active"] for row in rows} <= {"true", "false", ""}
    assert {orjson.loads(line)["id"] for line in run(*args, "jsonl").stdout.splitlines()} == wanted


def test_nothing_is_loaded(run: Run, folder: Path) -> None:
    assert run("list", "notifications").exit_code == 0
    assert not any(folder.iterdir())
