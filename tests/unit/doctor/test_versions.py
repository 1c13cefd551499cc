"""What is installed is compared with the pins of the package itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from m3ter_sync.doctor.versions import check_versions

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes Python see another version of a distribution, as if it were installed."""
    monkeypatch.syspath_prepend(tmp_path)

    def install_one(name: str, version: str) -> None:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}")

    return install_one


def test_what_make_setup_installed_is_as_it_should_be() -> None:
    (finding,) = check_versions()
    assert finding.level == "ok"
    assert {"m3ter-sync", "Python", "dlt", "duckdb", "sqlglot", "pyarrow"} == finding.facts.keys()


def test_a_version_beyond_its_pin_is_named_with_the_command_that_mends_it(install: Install) -> None:
    install("sqlglot", "31.0.0")
    install("duckdb", "2.0.0.dev1")
    (finding,) = check_versions()
    assert finding.level == "problem"
    assert "sqlglot 31.0.0 is not <30.22" in finding.found
    assert "duckdb 2.0.0.dev1 is not" in finding.found
    assert finding.advice
    assert "'sqlglot<30.22'" in finding.advice
    assert not finding.is_configuration
