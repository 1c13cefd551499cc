"""The log: whose run each line is of, in both formats, and that no secret ever stands in it."""

import base64
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from starlette.responses import JSONResponse, Response

from m3ter_sync.cli import logs
from m3ter_sync.sandbox import LoggedRequest, Sandbox, World
from m3ter_sync.sandbox.behaviour import ACCESS_KEY_ID, API_SECRET
from m3ter_sync.warehouse.location import DEFAULT_DATABASE

Start = Callable[..., "subprocess.Popen[str]"]
FORMATS = pytest.mark.parametrize("log_format", ["text", "json"])
TEXT_LINE = re.compile(
    r"(?P<timestamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<level>[A-Z]+) "
    r"(?P<run_id>[0-9a-f-]{36}) (?P<message>.*)"
)
LAST_LINE = re.compile(r"Error: (?P<message>.*) \(run (?P<run_id>[0-9a-f-]{36})\)")


def read_log(text: str, log_format: str) -> list[dict[str, Any]]:
    """Each line as a record; every one must be one."""
    records = []
    for line in text.splitlines():
        if log_format == "json":
            records.append(orjson.loads(line))
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", records[-1]["timestamp"])
            continue
        found = TEXT_LINE.fullmatch(line) or LAST_LINE.fullmatch(line)
        assert found, line
        records.append(found.groupdict())
    assert len({each["run_id"] for each in records}) == 1, "each line names the one run"
    return records


def tokens_of(sandbox: Sandbox) -> list[str]:
    return [*sandbox.api._tokens]


@FORMATS
def test_each_line_of_a_syncs_log_names_the_run_that_the_summary_and_the_table_name(
    start: Start, world: World, account: dict[str, str], log_format: str
) -> None:
    run = next(iter(world.listed_runs().values()))
    run["dtCompleted"] = "soon"
    env = account | {"RUNTIME__LOG_LEVEL": "INFO", "PYTHONWARNINGS": "always"}
    output, log = start("sync", "-v", "--json", "--log-format", log_format, env=env).communicate()
    records = read_log(log, log_format)
    summary = orjson.loads(output)
    with duckdb.connect(DEFAULT_DATABASE, read_only=True) as connection:
        (recorded,) = connection.execute("select sync_id from m3ter_raw.syncs").fetchall()
    assert records[0]["run_id"] == summary["sync_id"] == recorded[0]
    assert {"INFO", "WARNING", "DEBUG"} <= {each["level"] for each in records}
    messages = [each["message"] for each in records]
    assert any("cannot be read" in each for each in messages)
    assert sum(each.startswith(("GET ", "POST ")) for each in messages) == summary["requests"]
    if log_format == "json":
        assert "dlt" in {each["logger"] for each in records}
        (figures,) = [each for each in records if "endpoints" in each]
        assert figures["level"] == "INFO"
        assert figures["endpoints"] == summary["endpoints"]
        (asked, *_) = [each for each in records if each["message"].startswith("GET bills")]
        assert (asked["method"], asked["path"], asked["status"]) == ("GET", "bills", "200")
    else:
        assert any(each.startswith("dlt: ") for each in messages)


def test_the_summary_counts_requests_by_endpoint_and_names_no_id(
    start: Start, sandbox: Sandbox, world: World, account: dict[str, str]
) -> None:
    output, _ = start("sync", "--json", env=account).communicate()
    endpoints = {each["endpoint"]: each for each in orjson.loads(output)["endpoints"]}
    assert sum(each["requests"] for each in endpoints.values()) == len(sandbox.requests)
    listings = endpoints["integrationruns/{entityType}/{entityId}"]
    asked = [
        each
        for each in sandbox.requests
        if re.search(r"/integrationruns/\w+/[0-9a-f-]{36}$", each.path)
    ]
    assert listings["requests"] == len(asked) > len(world.bills)
    assert 0 < listings["mean_ms"] <= listings["max_ms"]
    assert not re.search(r"[0-9a-f]{8}-", "".join(endpoints))


@FORMATS
@pytest.mark.parametrize("status", [403, 418, 500])
def test_nothing_that_a_failing_sync_writes_holds_a_secret_or_a_token(
    start: Start, sandbox: Sandbox, account: dict[str, str], log_format: str, status: int
) -> None:
    """The server repeats what it was sent, in the ways in which servers and proxies do."""
    basic = base64.b64encode(f"{ACCESS_KEY_ID}:{API_SECRET}".encode()).decode()

    def echo(request: LoggedRequest) -> Response | None:
        if not request.path.endswith("/bills"):
            return None
        tokens = tokens_of(sandbox)
        assert tokens
        said = f"{API_SECRET} {basic} {' '.join(tokens)} Authorization: Basic {basic}"
        return JSONResponse({"message": said}, status)

    sandbox.behaviour.on_request = echo
    env = account | {"RUNTIME__LOG_LEVEL": "DEBUG"}
    process = start("sync", "-v", "--json", "--log-format", log_format, env=env)
    if status == 500:
        # It would be repeated for minutes; a signal ends the waiting.
        while sum(each.path.endswith("/bills") for each in sandbox.requests) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
    output, log = process.communicate()
    assert process.returncode
    assert log.count("[hidden]") >= 1
    written = [path.read_bytes() for path in Path("data").rglob("*") if path.is_file()]
    everything = "\n".join([output, log]).encode() + b"\n".join(written)
    for secret in (API_SECRET, basic, *tokens_of(sandbox)):
        assert secret.encode() not in everything
    records = read_log(log, log_format)
    if status != 500:
        assert records[-1].get("level", "ERROR") == "ERROR"
        assert str(status) in records[-1]["message"]
        assert orjson.loads(output)["error"] == records[-1]["message"]


SPILL = """
import logging, threading, warnings
import click
from m3ter_sync.cli.program import Command, Program
from m3ter_sync.redaction import register_secret

@click.group(cls=Program)
def program():
    pass

class Bad:
    def __del__(self):
        raise ValueError("unraisable hush-hush-7f31")

def fail():
    raise ValueError("thread hush-hush-7f31")

@program.command(cls=Command)
def spill():
    register_secret("hush-hush-7f31")
    import dlt
    dlt.pipeline("any", destination="dummy", pipelines_dir="pipelines")
    from dlt.common import logger
    try:
        raise ValueError("dlt hush-hush-7f31")
    except ValueError:
        logger.exception("dlt's own traceback")
    logging.getLogger("urllib3.connectionpool").warning("pool %s", {"key": "hush-hush-7f31"})
    more = {"more": b"hush-hush-7f31"}
    logging.getLogger("other").error("a number: %d", "hush-hush-7f31", extra=more)
    ours = logging.getLogger("m3ter_sync.x")
    ours.warning("two\\nlines \\x1b[31m Bearer eyJhbGciOiJIUzI1NiJ9.abc")
    warnings.warn("warned of hush-hush-7f31")
    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()
    Bad()
    raise RuntimeError("defect hush-hush-7f31")

program()
"""


@FORMATS
def test_whatever_a_library_a_thread_or_a_defect_says_goes_through_the_one_log(
    folder: Path, log_format: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPILL, "spill", "-v", "--log-format", log_format],
        env=os.environ | {"RUNTIME__LOG_FORMAT": "JSON", "RUNTIME__DLTHUB_TELEMETRY": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "hush" not in done.stderr
    assert "eyJhbGci" not in done.stderr
    assert "\x1b" not in done.stderr
    records = read_log(done.stderr, log_format)
    said = [
        "ValueError: dlt [hidden]",
        "pool {'key': '[hidden]'}",
        "a number: %d",
        "Bearer [hidden]",
        "UserWarning: warned of [hidden]",
        "ValueError: thread [hidden]",
        "ValueError: unraisable [hidden]",
        "RuntimeError: defect [hidden]",
    ]
    text = "\n".join(f"{each['message']}\n{each.get('traceback', '')}" for each in records)
    for each in said:
        assert each in text, each
    if log_format == "json":
        assert len(records) == len(said)
        assert [each["logger"] for each in records[:3]] == [
            "dlt",
            "urllib3.connectionpool",
            "other",
        ]
        assert "in spill" in records[-1]["traceback"]
        assert records[2]["more"]
        assert "This is a defect of m3ter-sync" in records[-1]["message"]


def test_the_environment_chooses_the_format_for_all_commands(
    start: Start, account: Mapping[str, str]
) -> None:
    env = {"M3TER_SYNC_LOG_FORMAT": "json"}
    for args in (["status"], ["sync", "--nonsense"], ["nonsense"], ["sync"]):
        process = start(*args, env=env)
        _, log = process.communicate()
        (record,) = read_log(log, "json")
        assert record["level"] == "ERROR"
        assert process.returncode == 2
    _, log = start("status", "--log-format", "text", env=env).communicate()
    assert log.startswith("Error: There is no warehouse at")


def test_what_is_said_beside_an_answer_is_a_line_of_the_log_too(
    start: Start, world: World, account: dict[str, str]
) -> None:
    output, log = start("list", "notifications", "--log-format", "json", env=account).communicate()
    (record,) = read_log(log, "json")
    assert (
        record["message"] == f"{len(world.notification_configurations)} notification configurations"
    )
    assert output


@FORMATS
def test_a_signal_is_told_in_the_log_too(
    start: Start, world: World, account: dict[str, str], log_format: str
) -> None:
    with Sandbox(world, latency=0.1) as slow:
        env = account | {"M3TER_BASE_URL": slow.base_url, "M3TER_SYNC_LOG_FORMAT": log_format}
        process = start("sync", "--quiet", env=env)
        while len(slow.requests) < 10:
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
        _, log = process.communicate()
    assert process.returncode == 143
    (record,) = read_log(log, log_format)
    assert record["level"] == "WARNING"
    assert record["message"].startswith("Stopping: ")


@FORMATS
def test_a_second_sync_ends_at_once_and_names_the_first(
    start: Start, world: World, account: dict[str, str], log_format: str
) -> None:
    with Sandbox(world, latency=0.3) as slow:
        env = account | {"M3TER_BASE_URL": slow.base_url, "SOURCES__M3TER__THREADS": "1"}
        first = start("sync", "--json", env=env)
        while not any("/integrationruns/" in each.path for each in slow.requests):
            assert first.poll() is None
            time.sleep(0.05)
        # m3ter does not even answer the second one: it ends before it asks.
        nowhere = env | {"M3TER_BASE_URL": "http://127.0.0.1:9"}
        second = start("sync", "--log-format", log_format, env=nowhere)
        _, log = second.communicate()
        others = [start(command, env=env) for command in ("models", "publish", "verify")]
        refused = [each.communicate()[1] for each in others]
        first.terminate()
        output, _ = first.communicate()
    assert second.returncode == 75
    *_, record = read_log(log, log_format)
    sync_id = orjson.loads(output)["sync_id"]
    said = f"sync, process {first.pid} on "
    for each in (record["message"], *refused):
        assert said in each
        assert re.search(
            rf", run {sync_id}, since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(\d+ s\)", each
        )
    assert [each.returncode for each in others] == [75] * 3


def test_a_record_that_no_format_can_hold_ends_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = logs._Handler()
    record = {
        "name": "x",
        "levelname": "INFO",
        "msg": "\ud800 %s",
        "args": (2**80,),
        "a": {1: {2**90, None}},
    }
    for handler.is_json in (True, False):
        handler.handle(logging.makeLogRecord(record))
        with monkeypatch.context() as closed:
            closed.setattr(sys, "stderr", None)
            handler.handle(logging.makeLogRecord(record))
    first, second = capsys.readouterr().err.splitlines()
    assert orjson.loads(first)["message"] == f"? {2**80}"
    assert second.endswith(f"x: \N{REPLACEMENT CHARACTER} {2**80}")
