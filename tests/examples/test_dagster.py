"""docs/examples/dagster: assets that Dagster loads and runs, and that judge exit codes rightly."""

import json
from pathlib import Path
from typing import Any

from tests.environments import Environments, run
from tests.examples.conftest import Host

CHECK = Path(__file__).parent / "checks/run_dagster.py"


def test_dagster_loads_and_runs_the_assets(
    host: Host, environments: Environments, tmp_path: Path
) -> None:
    # A way in between, so that the check can put other exit codes in its place.
    real, host.program = host.program, tmp_path / "m3ter-sync"
    host.program.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    host.program.chmod(0o755)
    host.install("dagster/m3ter_sync.py", tmp_path / "code")
    (tmp_path / "dagster").mkdir()
    home = {"DAGSTER_HOME": str(tmp_path / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    printed = run(
        environments.make_python("dagster") / "python",
        CHECK,
        tmp_path / "code",
        host.program,
        env=host.environment | host.account | home,
        cwd=tmp_path,
    )
    (line,) = (line for line in printed.splitlines() if line.startswith("FOUND "))
    found: dict[str, Any] = json.loads(line.removeprefix("FOUND "))
    assert (found["cron"], found["zone"]) == ("17 * * * *", "Etc/UTC")
    first = found["first"]
    assert first["steps"] == {"m3ter_warehouse": "STEP_SUCCESS", "m3ter_report": "STEP_SUCCESS"}
    assert first["metadata"]["m3ter_warehouse"]["new runs"] == 1200
    assert host.published() == {"m3ter.duckdb", "report.html"}
    assert found["judged"] == {
        "1": "tried again",
        "2": "failed",
        "3": "failed",
        "75": "0 materializations",
        "143": "tried again",
    }
    # Neither a failure nor something new.
    assert found["while another sync runs"] == {
        "success": True,
        "steps": {"m3ter_warehouse": "STEP_SUCCESS", "m3ter_report": "STEP_SKIPPED"},
        "metadata": {},
    }
