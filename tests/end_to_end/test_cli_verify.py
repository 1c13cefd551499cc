"""`m3ter-sync verify`: what it finds, what it repairs, and the exit code that says so."""

import json
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from m3ter_sync.sandbox import LoggedRequest, Sandbox

from .conftest import Run


@pytest.fixture
def synced(run: Run) -> None:
    assert run("sync", "--json").exit_code == 0


@pytest.mark.usefixtures("synced")
def test_a_warehouse_that_equals_the_api_is_clean(run: Run) -> None:
    result = run("verify")
    assert result.exit_code == 0, result.output
    assert "API and warehouse agree." in result.output


@pytest.mark.usefixtures("synced")
def test_what_differs_is_named_and_repaired(run: Run, sandbox: Sandbox) -> None:
    changed, deleted = sorted(sandbox.world.listed_runs())[:2]
    sandbox.world.change_run(changed, status="TIMEOUT_LIMIT_EXCEEDED")
    import duckdb

    with duckdb.connect(Path("data/warehouse.duckdb")) as connection:
        connection.execute("delete from m3ter_raw.integration_runs where id = ?", [deleted])

    found = run("verify", "--all", "--json")
    assert found.exit_code == 5
    kinds = {each["run_id"]: each["kind"] for each in json.loads(found.stdout)["differences"]}
    assert kinds == {changed: "different", deleted: "missing"}

    named = run("verify", "--all")
    assert named.exit_code == 5
    assert changed in named.output
    assert deleted in named.output

    repaired = run("verify", "--all", "--repair")
    assert repaired.exit_code == 0, repaired.output
    assert "Repaired: 2 runs loaded." in repaired.output
    assert run("verify", "--all").exit_code == 0


@pytest.mark.usefixtures("synced")
def test_a_run_that_the_api_no_longer_serves_is_named_and_stays(run: Run, sandbox: Sandbox) -> None:
    run_id = sorted(sandbox.world.listed_runs())[0]
    del sandbox.world.integration_runs[run_id]
    result = run("verify", "--all", "--repair", "--json")
    assert result.exit_code == 5
    (difference,) = json.loads(result.stdout)["differences"]
    assert (difference["run_id"], difference["kind"]) == (run_id, "not served")


@pytest.mark.usefixtures("synced")
def test_the_sample_takes_entities_with_open_runs_first(run: Run, sandbox: Sandbox) -> None:
    open_entities = {
        row["entityId"]
        for row in sandbox.world.listed_runs().values()
        if row["status"] in ("WAITING", "STARTED", "AWAITING_RETRY", "RATE_LIMIT_RETRY")
    }
    sandbox.requests.clear()
    assert run("verify").exit_code == 0
    listed = [
        each.path.rsplit("/", 1)[1] for each in sandbox.requests if "/integrationruns/" in each.path
    ]
    assert open_entities <= set(listed)


def test_without_a_warehouse_it_says_what_to_do(run: Run) -> None:
    result = run("verify")
    assert result.exit_code == 2
    assert "Run m3ter-sync sync first" in result.output


@pytest.mark.usefixtures("synced")
def test_a_gateway_that_denies_all_listings_verifies_nothing(run: Run, sandbox: Sandbox) -> None:
    def deny(request: LoggedRequest) -> Response | None:
        is_listing = "/integrationruns/" in request.path and not request.path.endswith("/latest")
        return JSONResponse({"message": "no"}, 404) if is_listing else None

    sandbox.behaviour.on_request = deny
    for options in ([], ["--all"]):
        result = run("verify", *options)
        assert result.exit_code == 1
        assert "yet answers 404" in result.stderr
        assert "agree" not in result.stdout
