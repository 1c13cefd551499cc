"""docs/examples/kubernetes: manifests that a cluster accepts, whose command works."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.environments import run
from tests.examples.conftest import EXAMPLES, PROGRAM, ROOT, STATE, Host

from m3ter_sync.cli.errors import ExitCode

EXAMPLE = "kubernetes/cronjob.yaml"


@pytest.fixture
def job(host: Host) -> dict[str, Any]:
    _, cron_job = yaml.safe_load_all(host.read(EXAMPLE))
    found: dict[str, Any] = cron_job["spec"]["jobTemplate"]["spec"]
    return found


def test_kubernetes_accepts_the_manifests(tools: Path) -> None:
    run(tools / "kubernetes-validate", "--strict", EXAMPLES / EXAMPLE)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("concurrencyPolicy: Forbid", "concurrencyPolicy: 1"), ("backoffLimit:", "backofLimit:")],
)
def test_a_manifest_that_is_wrong_is_found(
    tools: Path, tmp_path: Path, right: str, wrong: str
) -> None:
    manifest = tmp_path / "wrong.yaml"
    manifest.write_text((EXAMPLES / EXAMPLE).read_text().replace(right, wrong))
    command = (tools / "kubernetes-validate", "--strict", manifest)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_a_pod_is_tried_again_where_that_helps(job: dict[str, Any]) -> None:
    rules = job["podFailurePolicy"]["rules"]
    (pod,) = job["template"]["spec"]["containers"]
    codes = {
        rule["action"]: rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule
    }
    assert codes == {"Ignore": [ExitCode.BUSY], "FailJob": [ExitCode.USAGE, ExitCode.CHECK_FAILED]}
    assert {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule} == {
        pod["name"]
    }
    assert job["backoffLimit"] > 0
    # The policy needs pods that are not started again in place.
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_a_pod_syncs_with_its_secret_and_writes_to_its_volume_alone(
    host: Host, job: dict[str, Any], tmp_path: Path
) -> None:
    (pod,) = job["template"]["spec"]["containers"]
    secrets = {
        each["name"]: host.account[each["valueFrom"]["secretKeyRef"]["key"]] for each in pod["env"]
    }
    # Python finds no temporary folder on a root that is read-only.
    assert [each["mountPath"] for each in pod["volumeMounts"]] == [str(host.state), "/tmp"]
    elsewhere = tmp_path / "root"
    elsewhere.mkdir()
    run(*pod["command"], *pod["args"], cwd=elsewhere, env=host.environment | secrets)
    assert host.published() == {"m3ter.duckdb", "report.html"}
    assert not list(elsewhere.iterdir())


def test_the_image_is_built_as_ci_installs_the_program(job: dict[str, Any]) -> None:
    """No image can be built here; its parts can be looked at."""
    text = (EXAMPLES / "kubernetes/Containerfile").read_text(encoding="utf-8")
    files = re.findall(r"-r /src/(\S+)", text)
    assert files == ["requirements/build.txt", "requirements/runtime.txt"]
    assert all((ROOT / file).exists() for file in files)
    assert f'ENTRYPOINT ["{PROGRAM}"]' in text
    user = job["template"]["spec"]["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}" in text
    assert STATE not in text  # a volume, never the image
