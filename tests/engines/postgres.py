"""A PostgreSQL server of the tests' own: on a private port of loopback, in a temporary folder."""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_OWNER = "postgres"
_PASSWORD = "hush-postgres-password"
# PostgreSQL refuses to run as root.
_PLAIN_USER = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]


def find_programs() -> Path:
    """The folder of PostgreSQL's programs: where Debian puts them, else where PATH has them.

    Raises:
        FileNotFoundError: there are none.
    """
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    if program := shutil.which("initdb"):
        return Path(program).resolve().parent
    raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")


class PostgresServer:
    """A server that runs until the end of the block."""

    def __init__(self) -> None:
        self._programs = find_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="m3ter-postgres-", dir="/tmp"))
        self._as_user = _PLAIN_USER if os.geteuid() == 0 else []
        self.port = _find_port()
        self.password = _PASSWORD

    def __enter__(self) -> Self:
        try:
            password = self._folder / "password"
            password.write_text(_PASSWORD)
            if self._as_user:
                shutil.chown(self._folder, "nobody", "nogroup")
            self._run("initdb", *_INIT, f"--username={_OWNER}", f"--pwfile={password}")
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Starts it, where it was stopped."""
        given = " ".join(f"-c {setting}" for setting in (*_SETTINGS, f"port={self.port}"))
        options = f"{given} -k {self._folder}"
        self._run("pg_ctl", "start", "-w", "-l", self._folder / "log", "-o", options)

    def stop(self) -> None:
        """Stops it at once, as a machine does that fails: whoever is connected is cut off."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate")

    @property
    def url(self) -> str:
        """The owner's address of the database that is always there."""
        return self.url_of("postgres")

    def url_of(self, database: str, user: str = _OWNER, password: str = _PASSWORD) -> str:
        """The address of a database."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str | None = None) -> str:
        """Makes an empty database; its address."""
        name = name or f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f'create database "{name}"')
        return self.url_of(name)

    def execute(self, sql: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Runs one statement as the owner; its rows."""
        import psycopg2

        connection = psycopg2.connect(url or self.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def _run(self, program: str, *args: str | Path) -> None:
        command = [*self._as_user, self._programs / program, "-D", self._folder / "data", *args]
        # The server keeps what it inherits open: a pipe would never end.
        with (self._folder / "output").open("ab") as output:
            done = subprocess.run(
                list(map(str, command)), stdout=output, stderr=output, cwd="/", check=False
            )
        if done.returncode:
            said = [
                path for path in (self._folder / "output", self._folder / "log") if path.exists()
            ]
            text = "\n".join(path.read_text(errors="replace")[-2000:] for path in said)
            raise RuntimeError(f"{program} failed:\n{text}")


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Starts a server, and stops it."""
    with PostgresServer() as server:
        yield server


_INIT = (
    "--no-sync",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    # As servers are set up for people: texts are ordered by a language's rules, not by bytes.
    "--locale-provider=icu",
    "--icu-locale=en-US",
    "--auth=scram-sha-256",
)
# A test's rows need not outlive the machine.
_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=100",
)


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
