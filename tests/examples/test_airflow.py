"""docs/examples/airflow: a DAG that Airflow loads and runs, and that judges exit codes rightly."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from tests.environments import Environments, run
from tests.examples.conftest import Host

CHECK = Path(__file__).parent / "checks/run_airflow.py"


@pytest.fixture
def programs(environments: Environments) -> Path:
    """Airflow's programs, beside a database of its own that is already set up."""
    programs = environments.make_python("airflow")
    home = programs.parent / "home"
    with FileLock(f"{home}.lock"):
        if not (home / "ready").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            run(programs / "airflow", "db", "migrate", env=settings(home))
            (home / "ready").touch()
    return programs


def settings(home: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }


def test_airflow_loads_and_runs_the_dag(host: Host, programs: Path, tmp_path: Path) -> None:
    # A way in between, so that the check can put other exit codes in its place.
    real, host.program = host.program, tmp_path / "m3ter-sync"
    host.program.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    host.program.chmod(0o755)
    host.state.mkdir()
    home = tmp_path / "airflow"
    host.install("airflow/m3ter_sync.py", home / "dags")
    shutil.copy(programs.parent / "home/airflow.db", home)
    account = {
        "conn_type": "generic",
        "login": host.account["M3TER_API_KEY"],
        "password": host.account["M3TER_API_SECRET"],
        "extra": {"org_id": host.account["M3TER_ORG_ID"]},
    }
    printed = run(
        programs / "python",
        CHECK,
        home / "dags",
        host.program,
        host.state / "warehouse.lock",
        env=host.environment | settings(home) | {"AIRFLOW_CONN_M3TER": json.dumps(account)},
    )
    assert "sandbox-secret" not in printed
    (line,) = (line for line in printed.splitlines() if line.startswith("FOUND "))
    found: dict[str, Any] = json.loads(line.removeprefix("FOUND "))
    assert found["dag"] == {
        "id": "m3ter_sync",
        "schedule": "17 * * * *",
        "max_active_runs": 1,
        "catchup": False,
        "tasks": {"sync": ["freshness", "report"], "report": [], "freshness": []},
        "retries": [2],
        "queues": ["m3ter"],
    }
    assert found["judged"] == {
        "0": "done",
        "1": "AirflowException",  # tried again
        "2": "AirflowFailException",
        "3": "AirflowFailException",
        "4": "AirflowFailException",
        "5": "AirflowFailException",
        "75": "AirflowSkipException",
        "143": "AirflowException",
    }
    done = {"sync": "success", "report": "success", "freshness": "success"}
    assert found["first"] == {"run": "success", "tasks": done}
    assert host.published() == {"m3ter.duckdb", "report.html"}
    skipped = {"sync": "skipped", "report": "skipped", "freshness": "success"}
    assert found["while another sync runs"] == {"run": "success", "tasks": skipped}
    # At once: not even up for a retry.
    refused = {"sync": "failed", "report": "upstream_failed", "freshness": "success"}
    assert found["with a wrong secret"] == {"run": "failed", "tasks": refused}
