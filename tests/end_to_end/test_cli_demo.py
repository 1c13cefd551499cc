"""`m3ter-sync demo` and `m3ter-sync sandbox`: what a newcomer sees first."""

import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import httpx
import pytest
from click.testing import Result

README = Path(__file__).resolve().parents[2] / "README.md"
Run = Callable[..., Result]
Start = Callable[..., subprocess.Popen[str]]


def test_the_demo_syncs_twice_and_answers_both_questions(
    start: Start, folder: Path, program: Path
) -> None:
    process = start("demo")
    output, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    assert log == ""
    assert "\x1b" not in output
    near = output.replace(str(program), ".venv/bin/m3ter-sync")
    assert [line for line in near.splitlines() if len(line) > 80] == []

    first, second = re.findall(r"^integration_runs +(\d+) +(\d+) +(\d+) +\d+$", output, re.M)
    assert first[0] == first[1]
    assert 0 < int(second[1]) + int(second[2]) < int(first[1]) / 10

    with duckdb.connect(folder / "data/demo/warehouse.duckdb", read_only=True) as connection:
        rows = connection.execute(
            "select destination, decided_delivery_count, failed_delivery_count "
            "from m3ter.integration_failure_rate "
            "where window_name = '28d' and not is_sandbox and decided_delivery_count > 0"
        ).fetchall()
        step = connection.execute(
            "select covered_count, event_type_count from m3ter.notification_coverage_summary "
            "where step = 'C3' and scope = 'all'"
        ).fetchone()
    assert rows
    for destination, decided, failed in rows:
        assert re.search(rf"^{destination} +\w+ +{decided} +{failed} ", output, re.M)
    assert step
    assert re.search(rf"^C3 deliverable .* {step[0]} of {step[1]} ", output, re.M)


def test_what_the_demo_says_to_try_next_works(start: Start, run: Run, program: Path) -> None:
    output, _ = start("demo").communicate(timeout=120)
    advice = output.partition("What next\n")[2].replace("\\\n", " ")
    queries = [line for line in advice.splitlines() if "m3ter-sync query" in line]
    assert len(queries) == 3
    assert {shlex.split(line)[0] for line in queries} == {str(program)}
    for line in queries:
        result = run(*shlex.split(line)[1:])
        assert result.exit_code == 0, result.stderr
        assert len(result.stdout.splitlines()) > 2


def test_the_demo_writes_the_report_and_says_where(start: Start, folder: Path) -> None:
    output, _ = start("demo").communicate(timeout=120)
    page = folder / "data/demo/published/report.html"
    assert f"Open {page.relative_to(folder)} in a browser." in output
    assert "</html>" in page.read_text(encoding="utf-8")


def test_the_first_query_of_the_readme_answers_as_it_says(start: Start, run: Run) -> None:
    text = README.read_text(encoding="utf-8")
    (command, answer) = re.findall(r"```\n(\.venv.* query .*?)```\n\n```\n(.*?)```", text, re.S)[0]
    start("demo").communicate(timeout=120)
    result = run(*shlex.split(command.replace("\\\n", " "))[1:])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == answer


def test_the_demo_replaces_what_a_demo_made_and_nothing_else(start: Start, run: Run) -> None:
    mine = Path("mine")
    mine.mkdir()
    (mine / "warehouse.duckdb").write_text("dear to me")
    refused = run("demo", "--folder", "mine")
    assert refused.exit_code == 2
    assert "choose another --folder" in refused.stderr
    assert [path.name for path in mine.iterdir()] == ["warehouse.duckdb"]

    for _ in range(2):
        process = start("demo", "--folder", "its own")
        process.communicate(timeout=120)
        assert process.returncode == 0
        (Path("its own") / "notes.txt").write_text("kept")
    assert (Path("its own") / "notes.txt").exists()


def test_the_sandbox_says_how_to_sync_it_and_that_works(start: Start, run: Run) -> None:
    process = start("sandbox", "--port", "0", "--bills", "5", "--runs", "50", "--seed", "3")
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(8)]
    exports = [shlex.split(line)[1:] for line in lines if line.startswith("export ")]
    assert len(exports) == 3
    settings = dict(pair.split("=", 1) for line in exports for pair in line)
    (command,) = [shlex.split(line) for line in lines if line.startswith("m3ter-sync ")]
    assert run(*command[1:], env=settings).exit_code == 0

    answer = httpx.post(f"{settings['M3TER_BASE_URL']}/sandbox/advance?days=1")
    assert answer.json()["new_runs"]

    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in log


def test_a_port_that_is_taken_is_one_line(start: Start, run: Run) -> None:
    process = start("sandbox", "--port", "0", "--bills", "5", "--runs", "50")
    assert process.stdout
    port = process.stdout.readline().split(":")[2].split(",")[0]
    result = run("sandbox", "--port", port, "--bills", "5", "--runs", "50")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: Port {port} cannot be used")


@pytest.mark.parametrize("option", ["--latency", "--fault-rate", "--requests-per-second"])
def test_what_makes_the_sandbox_difficult_is_an_option(run: Run, option: str) -> None:
    assert option in run("sandbox", "--help").stdout
