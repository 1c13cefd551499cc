"""A machine on which an example is installed as its text says, inside the test's own folder."""

import os
import re
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from tests.environments import Environments

from m3ter_sync.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs/examples"
# Where the examples say that things are.
PROGRAM = "/opt/m3ter-sync/bin/m3ter-sync"
SETTINGS, STATE = "/etc/m3ter-sync", "/var/lib/m3ter-sync"


class Host:
    """The program, the settings and the state of the examples, in folders of their own."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.program = Path(sysconfig.get_path("scripts")) / "m3ter-sync"
        self.settings = folder / "etc"
        self.state = folder / "state"
        self._folder = folder
        self._sandbox = sandbox

    def place(self, text: str) -> str:
        """The same with this host's folders."""
        for theirs, ours in (
            (PROGRAM, self.program),
            (SETTINGS, self.settings),
            (STATE, self.state),
        ):
            text = text.replace(theirs, str(ours))
        return text

    def read(self, example: str) -> str:
        return self.place((EXAMPLES / example).read_text(encoding="utf-8"))

    def install(self, example: str, folder: Path) -> Path:
        """Writes a copy of an example there, with this host's folders in it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / Path(example).name
        path.write_text(self.read(example), encoding="utf-8")
        return path

    @property
    def account(self) -> dict[str, str]:
        """The secrets that every example asks for, by the names that the README gives them."""
        return {
            "M3TER_ORG_ID": self._sandbox.org_id,
            "M3TER_API_KEY": self._sandbox.access_key_id,
            "M3TER_API_SECRET": self._sandbox.api_secret,
        }

    @property
    def environment(self) -> dict[str, str]:
        """What is in the environment of every program: where the sandbox is, no secret."""
        return {
            "PATH": os.defpath,
            "M3TER_BASE_URL": self._sandbox.base_url,
            "SOURCES__M3TER__REQUESTS_PER_SECOND": "100000",
        }

    def write_secrets(self, folder: Path, **changed: Any) -> None:
        """A secrets.toml as `.dlt/example.secrets.toml` shows it, filled in."""
        text = (ROOT / ".dlt/example.secrets.toml").read_text(encoding="utf-8")
        account = {
            "org_id": self._sandbox.org_id,
            "access_key_id": self._sandbox.access_key_id,
            "api_secret": self._sandbox.api_secret,
        }
        for name, value in (account | changed).items():
            text, count = re.subn(rf'^{name} = ".*"$', f'{name} = "{value}"', text, flags=re.M)
            assert count == 1
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secrets.toml").write_text(text, encoding="utf-8")

    def make_program_end(self, exit_code: int) -> None:
        """Puts a program in the place of m3ter-sync that does nothing but end so."""
        self.program = self._folder / f"ends-with-{exit_code}"
        self.program.write_text(f"#!/bin/sh\necho it said so >&2\nexit {exit_code}\n")
        self.program.chmod(0o755)

    def published(self, state: str = ".") -> set[str]:
        folder = self.state / state / "published"
        return {path.name for path in folder.glob("*")} & {"m3ter.duckdb", "report.html"}


@pytest.fixture
def host(tmp_path: Path, sandbox: Sandbox) -> Host:
    return Host(tmp_path, sandbox)


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Environments:
    return Environments(pytestconfig, "examples")


@pytest.fixture(scope="session")
def tools(environments: Environments) -> Path:
    """The folder of the programs that check examples."""
    return environments.make_python("tools")
