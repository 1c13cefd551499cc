"""docs/examples/systemd: units that systemd accepts, shut in well, whose commands work."""

import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from tests.environments import run
from tests.examples.conftest import EXAMPLES, Host

from m3ter_sync.cli.errors import ExitCode

SERVICE = "systemd/m3ter-sync@.service"
UNITS = sorted(f"systemd/{path.name}" for path in (EXAMPLES / "systemd").iterdir())

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze (Debian: systemd) is missing"
)


@pytest.fixture
def units(host: Host, tmp_path: Path) -> Path:
    """A folder with all units, for the instance that the documentation names."""
    for unit in UNITS:
        host.install(unit, tmp_path / "units")
    return tmp_path / "units"


def read_unit(text: str) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        if line and line[0] not in "#[":
            name, value = line.split("=", 1)
            settings[name].append(value)
    return settings


@needs_systemd
def test_systemd_accepts_the_units(units: Path) -> None:
    run("systemd-analyze", "verify", "--man=no", *sorted(units.iterdir()))
    (calendar,) = read_unit((units / "m3ter-sync@.timer").read_text())["OnCalendar"]
    assert "Normalized form: *-*-* *:17:00 UTC" in run("systemd-analyze", "calendar", calendar)


@needs_systemd
def test_a_unit_that_is_wrong_is_found(units: Path) -> None:
    unit = units / "m3ter-sync@.service"
    unit.write_text(unit.read_text().replace("TimeoutStartSec=12h", "TimeoutStartSec=soon"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert "TimeoutStartSec" in done.stderr


@needs_systemd
def test_the_service_is_shut_in(units: Path) -> None:
    """Of systemd's scale from 0 (nothing allowed) to 10; what needs the network has 1 at least."""
    service = units / "m3ter-sync@.service"
    run("systemd-analyze", "security", "--offline=true", "--threshold=16", service)


def test_the_service_syncs_and_writes_the_report_with_nothing_but_its_credentials(
    host: Host, tmp_path: Path
) -> None:
    given = {
        "%S/m3ter-sync": str(host.state),  # what systemd calls /var/lib
        "%i": "production",
        "%d": str(tmp_path / "credentials"),
    }
    text = host.read(SERVICE)
    for specifier, value in given.items():
        text = text.replace(specifier, value)
    unit = read_unit(text)
    (credential,) = unit["LoadCredential"]
    name, _, source = credential.partition(":")
    host.write_secrets(Path(source).parent)
    (tmp_path / "credentials").mkdir()
    shutil.copy(source, tmp_path / "credentials" / name)
    shutil.rmtree(host.settings)  # a service cannot read it
    (folder,) = map(Path, unit["WorkingDirectory"])
    assert unit["StateDirectory"] == [f"m3ter-sync/{folder.name}"]
    folder.mkdir(parents=True)

    environment = dict(each.split("=", 1) for line in unit["Environment"] for each in line.split())
    for command in unit["ExecStart"]:
        run(*shlex.split(command), cwd=folder, env=host.environment | environment)
    assert host.published("production") == {"m3ter.duckdb", "report.html"}
    assert not [path for path in folder.iterdir() if not path.name.startswith(("wareh", "publ"))]


def test_what_is_no_failure_for_systemd_is_none_for_us() -> None:
    (codes,) = read_unit((EXAMPLES / SERVICE).read_text())["SuccessExitStatus"]
    assert {int(code) for code in codes.split()} == {ExitCode.BUSY, 128 + 15}
