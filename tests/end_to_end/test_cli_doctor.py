"""`doctor`: each thing that it looks at, as it should be and as it should not."""

import re
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from click.testing import Result
from starlette.responses import JSONResponse, Response

from m3ter_sync.api import Clock
from m3ter_sync.doctor import Examination
from m3ter_sync.sandbox import Fault, Faults, LoggedRequest, Sandbox
from m3ter_sync.warehouse.location import DEFAULT_DATABASE, Location

from .test_cli_status import held_open

Run = Callable[..., Result]
Findings = list[dict[str, Any]]
ROOT = Path(__file__).resolve().parents[2]
ORDER = [
    "versions",
    "configuration",
    "settings",
    "folder",
    "disk",
    "warehouse",
    "lock",
    "base_url",
    "token",
    "bills",
    "notifications",
    "integrationconfigs",
    "events/types",
    "integrationruns/Bill/latest",
    "integrationruns/Notification/latest",
    "integrationruns/Bill",
    "integrationruns/Notification",
    "clock",
    "rate limit",
    "entity ids",
    "probe",
    "pending",
    "last sync",
]


def change(sql: str) -> None:
    with duckdb.connect(DEFAULT_DATABASE) as connection:
        connection.execute(sql)


def doctor(
    run: Run, exit_code: int = 0, env: Mapping[str, str | None] | None = None, *args: str
) -> tuple[Findings, dict[str, Any]]:
    """Every finding but those that are ok, and the whole report."""
    calm = {"SOURCES__M3TER__REQUESTS_PER_SECOND": "50"}
    result = run("doctor", "--json", *args, env=calm | dict(env or {}))
    report: dict[str, Any] = orjson.loads(result.stdout)
    assert result.exit_code == exit_code == report["exit_code"], report["findings"]
    assert report["request_count"] <= 12
    assert all(each["advice"] or each["found"].endswith(".") for each in bad(report))
    return bad(report), report


def bad(report: dict[str, Any]) -> Findings:
    return [finding for finding in report["findings"] if finding["level"] != "ok"]


def of(report: dict[str, Any], check: str) -> dict[str, Any]:
    (finding,) = (finding for finding in report["findings"] if finding["check"] == check)
    return finding


def only(findings: Findings) -> tuple[str, str, str]:
    (finding,) = findings
    return finding["level"], finding["check"], finding["found"]


def answering(path: str, answer: Response | Fault) -> Callable[[LoggedRequest], Any]:
    """A hook that answers the requests whose path ends so."""
    return lambda request: answer if re.search(f"{path}$", request.path) else None


def tree(folder: Path) -> dict[Path, tuple[int, float, int]]:
    stats = {path: path.stat() for path in folder.rglob("*")}
    return {path: (each.st_size, each.st_mtime, each.st_ino) for path, each in stats.items()}


def test_all_is_well_after_a_sync_and_nothing_is_written(
    synced: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    sandbox.requests.clear()
    findings, report = doctor(synced)
    assert findings == []
    assert [each["check"] for each in report["findings"]] == ORDER
    assert len(sandbox.requests) == report["request_count"]
    assert tree(tmp_path) == before
    assert of(report, "probe")["facts"]["compared"] >= 2


def test_before_the_first_sync_all_that_can_be_checked_is(run: Run, folder: Path) -> None:
    findings, report = doctor(run)
    assert findings == []
    assert "none at" in of(report, "warehouse")["found"]
    assert of(report, "entity ids")["facts"]["source"] == "requests"
    assert not any(folder.iterdir())


def test_while_another_process_writes_the_copy_tells_of_the_warehouse(synced: Run) -> None:
    with held_open() as pid:
        findings, report = doctor(synced)
    assert only(findings)[:2] == ("warning", "lock")
    assert f"(process {pid}): it keeps the next sync out" in findings[0]["found"]
    assert of(report, "entity ids")["facts"]["source"] == "published"
    assert "as the published copy knows" in of(report, "last sync")["found"]


def test_a_command_that_writes_is_named(synced: Run) -> None:
    with Location.of().acquire("sync", "a-run"):
        findings, report = doctor(synced)
    assert findings == []
    assert "writing to the warehouse: sync, process " in of(report, "lock")["found"]


def test_each_finding_is_one_line_with_its_level_first(synced: Run) -> None:
    lines = synced("doctor").stdout.splitlines()
    assert lines[-2] == ""
    assert re.fullmatch(r"0 problems, 1 warning; \d+ requests sent\.", lines[-1])
    assert all(re.match(r"(ok|warning|problem) +[\w/ ]+: .", line) for line in lines[:-2])


def test_its_keys_are_those_of_the_documentation(run: Run) -> None:
    text = (ROOT / "docs" / "status.md").read_text().partition("doctor --json`")[2]
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    _, report = doctor(run)
    assert {name for keys, _ in rows for name in re.findall(r"`(\w+)`", keys)} == report.keys()
    assert report["findings"][0].keys() <= set(re.findall(r"`(\w+)`", rows[0][1]))


def test_without_credentials_it_says_what_is_missing_and_checks_the_rest(
    synced: Run, sandbox: Sandbox
) -> None:
    sandbox.requests.clear()
    nothing = {"M3TER_ORG_ID": None, "M3TER_API_KEY": None, "M3TER_API_SECRET": None}
    findings, report = doctor(synced, 2, nothing)
    assert [each["check"] for each in findings] == ["settings", "token"]
    assert "org_id missing; access_key_id missing" in findings[0]["found"]
    assert "Missing: org_id, access_key_id, api_secret" in findings[0]["advice"]
    assert of(report, "warehouse")["level"] == of(report, "base_url")["level"] == "ok"
    assert "answers were 429" in of(report, "rate limit")["found"]
    assert [request.path for request in sandbox.requests] == ["/"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SOURCES__M3TER__THREADS", "many", "threads"),
        ("SOURCES__M3TER__PAGE_SIZE", "0", "page_size is 0"),
        ("SOURCES__M3TER__WINDOW_DAYS", "week", "such as [1, 7, 28]"),
    ],
)
def test_a_setting_that_cannot_be_used_is_wrong_configuration(
    run: Run, name: str, value: str, says: str
) -> None:
    findings, report = doctor(run, 2, {name: value})
    assert (findings[0]["level"], findings[0]["check"]) == ("problem", "settings")
    assert says in findings[0]["advice"]
    assert of(report, "base_url")["level"] == "ok"


@pytest.fixture
def doctor_of_files(
    start: Callable[..., subprocess.Popen[str]], account: dict[str, str]
) -> Callable[[dict[str, str]], tuple[dict[str, Any], str]]:
    """Runs the program as people do: dlt reads its files once in a process."""

    def run_program(env: dict[str, str]) -> tuple[dict[str, Any], str]:
        out, errors = start("doctor", "--json", env=account | env).communicate(timeout=60)
        return orjson.loads(out), out + errors

    return run_program


def test_each_setting_is_told_with_where_it_comes_from_and_no_secret_is(
    doctor_of_files: Callable[..., tuple[dict[str, Any], str]],
) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/config.toml").write_text("[sources.m3ter]\nthreads = 4\nsilent_after_days = 7\n")
    Path(".dlt/secrets.toml").write_text('[sources.m3ter]\naccess_key_id = "sandbox-key"\n')
    report, output = doctor_of_files({"M3TER_API_KEY": "hunter2"})
    settings = of(report, "settings")
    assert settings["level"] == "ok"
    assert {name: Path(place).name for name, place in settings["facts"].items()} == {
        "org_id": "M3TER_ORG_ID",
        "access_key_id": "secrets.toml",
        "api_secret": "M3TER_API_SECRET",
        "base_url": "M3TER_BASE_URL",
        "requests_per_second": "SOURCES__M3TER__REQUESTS_PER_SECOND",
        "threads": "config.toml",
        "silent_after_days": "config.toml",
    }
    assert "threads 4 (" in settings["found"]
    assert "access_key_id set (" in settings["found"]
    for secret in ("sandbox-key", "sandbox-secret", "hunter2"):
        assert secret not in output
    assert of(report, "configuration")["facts"]["files"] == [
        "./.dlt/secrets.toml",
        "./.dlt/config.toml",
    ]


def test_a_name_that_is_no_setting_and_one_of_another_program_are_told(
    doctor_of_files: Callable[..., tuple[dict[str, Any], str]],
) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/config.toml").write_text("[sources.m3ter]\nthread = 4\n")
    report, _ = doctor_of_files({"SOURCES__M3TER__ORGID": "x", "ORG_ID": "another"})
    warned = [each["found"] for each in bad(report) if each["check"] == "settings"]
    assert warned == [
        "org_id comes from ORG_ID, which may be meant for another program",
        "no such setting: SOURCES__M3TER__ORGID, thread in ./.dlt/config.toml",
    ]


def test_a_file_that_is_no_toml_is_wrong_configuration_and_the_rest_is_checked(
    doctor_of_files: Callable[..., tuple[dict[str, Any], str]],
) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/secrets.toml").write_text("api_secret = hunter2")
    report, output = doctor_of_files({})
    assert report["exit_code"] == 2
    assert "secrets.toml is not valid TOML" in of(report, "settings")["advice"]
    assert of(report, "folder")["level"] == "ok"
    assert "hunter2" not in output


def test_a_base_url_with_a_login_in_it_is_refused_and_not_shown(run: Run) -> None:
    url = "https://me:hunter2@127.0.0.1"
    result = run("doctor", env={"M3TER_BASE_URL": url})
    assert result.exit_code == 2
    assert "problem  base_url: base_url must be a plain address" in result.stdout
    assert "hunter2" not in result.output


def test_a_host_that_refuses_or_is_not_found_is_a_problem(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        findings, report = doctor(run, 1, {"M3TER_BASE_URL": f"http://127.0.0.1:{port}"})
    assert [each["check"] for each in findings] == ["base_url", "token"]
    assert "refuses the connection" in findings[0]["found"]
    assert of(report, "clock")["found"] == "not compared: nothing answered"
    findings, _ = doctor(run, 1, {"M3TER_BASE_URL": "https://nowhere.invalid"})
    assert "the name nowhere.invalid cannot be resolved" in findings[0]["found"]


def test_a_server_without_tls_and_a_proxy_are_named(run: Run, sandbox: Sandbox) -> None:
    url = sandbox.base_url.replace("http:", "https:")
    findings, _ = doctor(run, 1, {"M3TER_BASE_URL": url})
    assert "TLS failed" in findings[0]["found"]
    proxy = {"HTTPS_PROXY": "http://me:hunter2@127.0.0.1:9", "M3TER_BASE_URL": url}
    result = run("doctor", env=proxy)
    assert "(through the proxy of HTTPS_PROXY)" in result.stdout
    assert "hunter2" not in result.output
    result = run("doctor", env=proxy | {"NO_PROXY": "127.0.0.1"})
    assert "through the proxy" not in result.stdout


def test_a_server_that_is_down_is_a_problem(run: Run, sandbox: Sandbox) -> None:
    sandbox.behaviour.on_request = lambda request: Response(status_code=502)
    findings, _ = doctor(run, 1)
    assert [each["check"] for each in findings] == ["base_url", "token"]
    assert "m3ter answered 502" in findings[0]["found"]


def test_a_wrong_secret_is_wrong_configuration(run: Run, sandbox: Sandbox) -> None:
    findings, report = doctor(run, 2, {"M3TER_API_SECRET": "hunter2"})
    assert only(findings)[:2] == ("problem", "token")
    assert findings[0]["is_configuration"]
    assert "401" in findings[0]["found"]
    assert report["request_count"] == 2


@pytest.mark.parametrize(
    ("path", "check"),
    [
        ("/bills", "bills"),
        ("/notifications/configurations", "notifications"),
        ("/integrationconfigs", "integrationconfigs"),
        ("/events/types", "events/types"),
        ("/integrationruns/Bill/latest", "integrationruns/Bill/latest"),
        ("/integrationruns/Bill/[0-9a-f-]+", "integrationruns/Bill"),
        ("/integrationruns/Notification/[0-9a-f-]+", "integrationruns/Notification"),
    ],
)
def test_one_endpoint_that_is_refused_broken_or_another_is_named_and_the_others_are_checked(
    synced: Run, sandbox: Sandbox, path: str, check: str
) -> None:
    for answer, exit_code, says in (
        (JSONResponse({"message": "Forbidden"}, 403), 2, '403 "Forbidden"'),
        (Response(status_code=500), 1, "500"),
        (Fault.HTML, 1, "not JSON"),
    ):
        sandbox.behaviour.on_request = answering(path, answer)
        findings, report = doctor(synced, exit_code)
        assert only(findings)[:2] == ("problem", check)
        assert says in findings[0]["found"]
        assert of(report, "clock")["level"] == "ok"


def test_all_endpoints_refused_cost_no_more_requests(run: Run, sandbox: Sandbox) -> None:
    sandbox.behaviour.on_request = lambda request: (
        None if request.path in ("/", "/oauth/token") else JSONResponse({}, 403)
    )
    findings, report = doctor(run, 2)
    assert {each["check"] for each in findings} == set(ORDER[9:13])
    assert report["request_count"] == 6


@pytest.mark.parametrize(
    ("path", "check", "content"),
    [
        ("/bills", "bills", {"bills": []}),
        ("/notifications/configurations", "notifications", {"data": [{"id": "n1"}]}),
        ("/integrationconfigs", "integrationconfigs", {"data": [{"name": "x"}]}),
        ("/events/types", "events/types", {"events": [1]}),
        ("/integrationruns/Bill/[0-9a-f-]+", "integrationruns/Bill", {"data": [{"id": "r1"}]}),
    ],
)
def test_an_answer_of_another_shape_is_a_problem(
    synced: Run, sandbox: Sandbox, path: str, check: str, content: Any
) -> None:
    sandbox.behaviour.on_request = answering(path, JSONResponse(content))
    findings, _ = doctor(synced, 1)
    assert (findings[0]["level"], findings[0]["check"]) == ("problem", check)


def test_new_fields_are_named_and_no_value_is(run: Run, sandbox: Sandbox) -> None:
    sandbox.behaviour.faults = Faults(extra_fields={"replayedFrom": "hunter2"})
    result = run("doctor", "--json")
    assert "hunter2" not in result.output
    for check in ("bills", "integrationruns/Bill", "integrationconfigs"):
        assert "replayedFrom" in of(orjson.loads(result.stdout), check)["found"]


def test_an_unknown_status_is_a_warning(run: Run, sandbox: Sandbox) -> None:
    sandbox.behaviour.faults = Faults(extra_fields={"status": "PAUSED"})
    findings, _ = doctor(run)
    assert {each["found"] for each in findings} == {"unknown statuses: PAUSED"}


def test_an_organization_without_anything_is_fine(sandbox: Sandbox, run: Run) -> None:
    empty = JSONResponse({"data": []})
    sandbox.behaviour.on_request = answering("(bills|configurations|integrationconfigs)", empty)
    findings, report = doctor(run)
    assert findings == []
    assert "there is no bill to ask for" in of(report, "integrationruns/Bill")["found"]
    assert of(report, "entity ids")["found"].startswith("not measured")


class WrongClock(Clock):
    """A machine whose clock is so many seconds ahead."""

    def __init__(self, ahead: float) -> None:
        super().__init__()
        self._ahead = ahead

    def wall(self) -> float:
        return super().wall() + self._ahead


@pytest.mark.parametrize(
    ("ahead", "level", "side"),
    [(0, "ok", ""), (20, "ok", "behind"), (45, "warning", "behind"), (-45, "warning", "ahead of")],
)
def test_a_clock_that_is_wrong_by_more_than_half_a_minute_is_a_warning(
    folder: Path, account: dict[str, str], monkeypatch: pytest.MonkeyPatch,
    ahead: float, level: str, side: str,
) -> None:  # fmt: skip
    for name, value in account.items():
        monkeypatch.setenv(name, value)
    examination = Examination(Location.of(), clock=WrongClock(ahead))
    (finding,) = (each for each in examination.run() if each.check == "clock")
    assert finding.level == level
    assert side in finding.found
    assert abs(finding.facts["skew_seconds"] + ahead) < 3


def test_the_rate_that_is_set_and_the_one_that_is_seen(run: Run, sandbox: Sandbox) -> None:
    findings, _ = doctor(run, env={"SOURCES__M3TER__REQUESTS_PER_SECOND": "60"})
    assert only(findings)[:2] == ("warning", "rate limit")
    assert "requests_per_second is 60" in findings[0]["found"]

    slow_down = JSONResponse({}, 429, {"Retry-After": "0", "X-RateLimit-Limit": "50"})
    sandbox.behaviour.on_request = answering("/events/types", slow_down)
    findings, _ = doctor(run, 1)
    assert [each["check"] for each in findings] == ["events/types", "rate limit"]
    assert "1 of 11 answers were 429" in findings[1]["found"]
    assert findings[1]["facts"]["headers"] == {"retry-after": "0", "x-ratelimit-limit": "50"}


def test_runs_of_notifications_that_nobody_knows_are_measured(synced: Run) -> None:
    change(
        "update m3ter_raw.integration_runs set entity_id = 'unknown' where id in (select id from "
        "m3ter_raw.integration_runs where entity_type = 'Notification' order by id limit 7)"
    )
    findings, _ = doctor(synced)
    assert only(findings)[:2] == ("warning", "entity ids")
    facts = findings[0]["facts"]
    assert facts["runs"] - facts["matched"] == 7
    change(
        "update m3ter_raw.integration_runs set entity_id = 'unknown' "
        "where entity_type = 'Notification'"
    )
    findings, _ = doctor(synced, 1)
    assert ("problem", "entity ids") in [(each["level"], each["check"]) for each in findings]


@pytest.mark.parametrize("known", [True, False], ids=["warehouse", "no warehouse"])
@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ("list", None),
        ("data", None),
        ("none", "404"),
        ("partial", "it left out"),
        ("wrong", "run"),
    ],
)
def test_a_probe_that_lies_is_not_to_be_trusted(
    request: pytest.FixtureRequest, sandbox: Sandbox, shape: Any, says: str | None, known: bool
) -> None:
    run: Run = request.getfixturevalue("synced" if known else "run")
    sandbox.behaviour.latest_shape = shape
    findings, report = doctor(run)
    if says is None:
        assert findings == []
        return
    probe = of(report, "probe")
    assert probe["level"] == "warning"
    assert "not to be trusted" in probe["found"]
    assert says in probe["found"]


@pytest.mark.parametrize("content", ["text", {"data": ["text"]}, [{"id": "r", "entityId": "x"}]])
def test_a_probe_of_another_shape_is_not_to_be_trusted(
    run: Run, sandbox: Sandbox, content: Any
) -> None:
    sandbox.behaviour.on_request = answering("/Bill/latest", JSONResponse(content))
    findings, _ = doctor(run)
    checks = [each["check"] for each in findings]
    assert checks == ["integrationruns/Bill/latest", "probe"]


def test_a_probe_that_takes_few_ids_is_asked_for_few(run: Run, sandbox: Sandbox) -> None:
    sandbox.behaviour.latest_most_ids = 5
    findings, report = doctor(run)
    assert findings == []
    assert "at once were too many" in of(report, "integrationruns/Bill/latest")["found"]


def test_a_probe_that_could_not_be_put_to_the_test_says_so(run: Run, sandbox: Sandbox) -> None:
    def leave_one(request: LoggedRequest) -> Response | None:
        if not re.search("/integrationruns/(Bill|Notification)/[0-9a-f-]+$", request.path):
            return None
        *_, entity_type, entity_id = request.path.split("/")
        runs = sandbox.world.integration_runs.of(entity_type, entity_id)
        newest = max(runs, key=lambda run: run["dtCreated"], default=None)
        return JSONResponse({"data": [newest] if newest else []})

    sandbox.behaviour.on_request = leave_one
    findings, _ = doctor(run)
    assert only(findings)[:2] == ("warning", "probe")
    assert "not put to the test" in findings[0]["found"]


def test_a_damaged_warehouse_is_a_problem_and_m3ter_is_checked_all_the_same(synced: Run) -> None:
    DEFAULT_DATABASE.write_text("no database\n" * 1000)
    findings, report = doctor(synced, 1)
    assert only(findings)[:2] == ("problem", "warehouse")
    assert of(report, "bills")["level"] == "ok"


def test_the_warehouse_of_another_organization_is_wrong_configuration(synced: Run) -> None:
    change("update m3ter_raw.entities set entity_id = 'o2' where entity_type = 'Organization'")
    findings, _ = doctor(synced, 2)
    assert only(findings)[:2] == ("problem", "warehouse")
    assert "holds organization o2" in findings[0]["found"]


def test_a_folder_in_which_another_warehouse_publishes_is_wrong_configuration(
    synced: Run,
) -> None:
    findings, _ = doctor(synced, 2, None, "--database", "data/other.duckdb")
    assert only(findings)[:2] == ("problem", "warehouse")
    assert "holds what warehouse.duckdb published" in findings[0]["found"]


def test_a_load_that_is_pending_and_a_sync_that_failed_are_told(synced: Run) -> None:
    from m3ter_sync.warehouse.dlt_pipeline import build_pipeline

    build_pipeline(Location.of()).extract([{"id": 1}], table_name="anything")
    change("update m3ter_raw.syncs set outcome = 'failed', error = 'GET bills: no'")
    findings, _ = doctor(synced)
    told = {each["check"]: each["found"] for each in findings}
    assert told.keys() >= {"pending", "last sync"}
    assert told["pending"].startswith("1 load pending since")
    assert told["last sync"].startswith("failed, begun")
    assert "GET bills: no" in told["last sync"]


def test_what_the_first_sync_left_before_there_was_a_warehouse_is_told(run: Run) -> None:
    from m3ter_sync.warehouse.dlt_pipeline import build_pipeline

    build_pipeline(Location.of()).extract([{"id": 1}], table_name="anything")
    assert not DEFAULT_DATABASE.exists()
    findings, _ = doctor(run)
    assert only(findings)[:2] == ("warning", "pending")


def test_a_check_that_fails_itself_is_told_and_stops_no_other(synced: Run) -> None:
    # A moment that DuckDB has and Python has not.
    change("update m3ter_raw.syncs set started_at = 'infinity'")
    _, report = doctor(synced, 1)
    failed = [each for each in bad(report) if "the check itself failed" in each["found"]]
    assert failed
    assert of(report, "pending")["level"] == "ok"
