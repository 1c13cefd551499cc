"""A lake in S3, by a server of the tests' own: what a bucket promises is really asked of it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.environments import Environments

from m3ter_sync.sandbox import Sandbox, World

# Ours first: the environment has only what is missing here.
_PROGRAM = """
import site, sys
site.addsitedir(sys.argv.pop(1))
import botocore.session
bucket = sys.argv.pop(1)
"""
_MAKE_BUCKET = """
import os
client = botocore.session.Session().create_client(
    "s3", endpoint_url=os.environ["DESTINATION__FILESYSTEM__CREDENTIALS__ENDPOINT_URL"],
    aws_access_key_id="hush-key", aws_secret_access_key="hush-secret", region_name="us-east-1",
)
client.create_bucket(Bucket=bucket)
"""
_COMMAND = """
from m3ter_sync.cli import main
main(prog_name="m3ter-sync")
"""
# Another writer has taken the next commit's number by the time that this one would.
_TAKEN = """
from m3ter_sync.warehouse.lake_files import Files
create = Files.create
Files.create = lambda files, log, *rest: create(files, log, *rest) and (
    log != "commits" or create(files, log, *rest)
)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def packages(pytestconfig: pytest.Config) -> Path:
    programs = Environments(pytestconfig, "lake").make_python("s3")
    (folder,) = programs.parent.glob("lib/python*/site-packages")
    return folder


@pytest.fixture(scope="module")
def server(packages: Path) -> Iterator[str]:
    """The address of an S3 that has no bucket yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = packages.parents[2] / "bin/moto_server"
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            assert process.poll() is None
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def run(packages: Path, server: str, sandbox: Sandbox, tmp_path: Path) -> Run:
    """Runs a command with a lake in S3."""
    credentials = "DESTINATION__FILESYSTEM__CREDENTIALS__"
    env = os.environ | {
        "M3TER_BASE_URL": sandbox.base_url,
        "M3TER_ORG_ID": sandbox.org_id,
        "M3TER_API_KEY": sandbox.access_key_id,
        "M3TER_API_SECRET": sandbox.api_secret,
        "SOURCES__M3TER__REQUESTS_PER_SECOND": "100000",
        "DESTINATION__FILESYSTEM__BUCKET_URL": "s3://the-lake/of/m3ter",
        f"{credentials}AWS_ACCESS_KEY_ID": "hush-key",
        f"{credentials}AWS_SECRET_ACCESS_KEY": "hush-secret",
        f"{credentials}ENDPOINT_URL": server,
        f"{credentials}REGION_NAME": "us-east-1",
    }

    def run_command(
        *args: str, source: str = _COMMAND, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM + source, packages, "the-lake", *args],
            cwd=tmp_path,
            env=env | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "hush-secret" not in done.stdout + done.stderr
        return done

    return run_command


def test_a_lake_in_s3_is_synced_read_and_guarded(run: Run, world: World) -> None:
    lake = ("--destination", "filesystem")
    missing = run("sync", *lake)
    assert missing.returncode == 2
    assert "There is no bucket the-lake" in missing.stderr.splitlines()[-1]
    assert run(source=_MAKE_BUCKET).returncode == 0
    empty = run("status", *lake)
    assert "There is no warehouse in s3://the-lake/of/m3ter" in empty.stderr
    assert run("sync", *lake).returncode in (0, 3)
    assert run("verify", *lake, "--all").returncode == 0

    world.advance(1)
    taken = run("sync", *lake, source=_TAKEN + _COMMAND)
    assert taken.returncode == 75
    assert "what this one loaded does not count" in taken.stderr.splitlines()[-1]
    # A machine that was never here sees what counts.
    for _ in range(2):
        world.advance(1)
        assert run("sync", *lake).returncode in (0, 3)
    verified = run("verify", *lake, "--all", "--database", "elsewhere/lake.duckdb")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_an_s3_that_does_not_answer_is_told_in_one_line(run: Run) -> None:
    nowhere: dict[str, Any] = {
        "DESTINATION__FILESYSTEM__CREDENTIALS__ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
    }
    done = run("sync", "--destination", "filesystem", **nowhere)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("Error: The lake s3://the-lake/of/m3ter cannot be used: ")
