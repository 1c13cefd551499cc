"""A PostgreSQL server of the tests' own, in a folder that goes with them."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg2

_USER = "m3ter"
_NEEDED = (
    "The tests of PostgreSQL need its server, 15 or newer: initdb and pg_ctl on PATH or in "
    "/usr/lib/postgresql/*/bin. On Debian: apt-get install postgresql"
)
# What is written need not outlive the tests.
_OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c max_connections=30"


class PostgresServer:
    """A server that is reached through a socket in its folder, by nobody else.

    Its databases sort text as English people do, not by bytes: what depends on the one shows.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        self.url = self._url_of("postgres")

    def create_database(self) -> str:
        """The address of a new, empty database."""
        name = f"warehouse_{next(self._numbers)}"
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        try:
            connection.cursor().execute(f"create database {name}")
        finally:
            connection.close()
        return self._url_of(name)

    def _url_of(self, database: str) -> str:
        # libpq, and with it dlt, takes the folder of a socket for a host.
        return f"postgresql://{_USER}@/{database}?host={self._folder}"


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Starts a server, and stops it.

    Raises:
        RuntimeError: it is not installed; the message says what to install.
    """
    programs = _find_programs()
    # The path of a socket may have no more than a hundred characters: pytest's folders are longer.
    folder = Path(tempfile.mkdtemp(prefix="m3ter-pg-", dir="/tmp"))
    try:
        as_user = _give_to_plain_user(folder)
        data = folder / "data"
        initdb = [
            *(str(programs / "initdb"), "--pgdata", str(data), "--username", _USER),
            *("--auth", "trust", "--encoding", "UTF8", "--no-sync"),
            *("--locale-provider", "icu", "--icu-locale", "en-US"),
        ]
        _run([*as_user, *initdb])
        pg_ctl = [*as_user, str(programs / "pg_ctl"), "--pgdata", str(data), "--wait"]
        options = f"{_OPTIONS} -c unix_socket_directories={folder}"
        _run([*pg_ctl, "--log", str(folder / "log"), "--options", options, "start"])
        try:
            yield PostgresServer(folder)
        finally:
            _run([*pg_ctl, "--mode", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


def _find_programs() -> Path:
    if found := shutil.which("initdb"):
        # Debian's pg_ctl stands beside its initdb; the one on PATH may be a link to it.
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not folders:
        raise RuntimeError(_NEEDED)
    return folders[-1].parent


def _give_to_plain_user(folder: Path) -> list[str]:
    """PostgreSQL does not run as root: what runs a command as somebody else."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _run(command: list[str]) -> None:
    # The server keeps what it is given as output: a pipe would never end.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(command, stdout=output, stderr=output, cwd="/", check=False)
        if done.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {output.read()[-2000:]}")
