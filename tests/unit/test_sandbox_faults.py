"""Everything that goes wrong with an API can be made to go wrong, and again the same way."""

import base64
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from m3ter_sync.sandbox import Fault, Faults, LoggedRequest, Sandbox, World


@contextmanager
def talking_to(world: World, **options: Any) -> Iterator[tuple[Sandbox, httpx.Client]]:
    with Sandbox(world, **options) as sandbox:
        pair = f"{sandbox.access_key_id}:{sandbox.api_secret}".encode()
        token = httpx.post(
            f"{sandbox.base_url}/oauth/token",
            headers={"Authorization": f"Basic {base64.b64encode(pair).decode()}"},
            data={"grant_type": "client_credentials"},
        ).json()["access_token"]
        with httpx.Client(
            base_url=f"{sandbox.base_url}/organizations/{sandbox.org_id}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=5,
        ) as client:
            yield sandbox, client


@pytest.mark.parametrize("fault", ["429", "500", "502", "503", "504"])
def test_an_error_status_is_answered_once_when_scripted_once(world: World, fault: str) -> None:
    with talking_to(world, faults=Faults(script=[Fault(fault)])) as (sandbox, client):
        assert client.get("bills").status_code == int(fault)
        assert client.get("bills").status_code == 200
        assert [each.status for each in sandbox.requests] == [200, int(fault), 200]


def test_a_connection_is_reset(world: World) -> None:
    with talking_to(world, faults=Faults(script=[Fault.RESET])) as (sandbox, client):
        with pytest.raises(httpx.ReadError):
            client.get("bills")
        assert client.get("bills").status_code == 200
        assert [each.status for each in sandbox.requests] == [200, 0, 200]


def test_an_answer_never_comes(world: World) -> None:
    with talking_to(world, faults=Faults(script=[Fault.HANG])) as (_, client):
        with pytest.raises(httpx.ReadTimeout):
            client.get("bills", timeout=0.2)
        assert client.get("bills").status_code == 200


def test_the_sandbox_stops_though_a_request_hangs(world: World) -> None:
    with Sandbox(world, on_request=lambda _: Fault.HANG) as sandbox:
        host, port = sandbox.base_url.removeprefix("http://").split(":")
        hanging = socket.create_connection((host, int(port)))
        hanging.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        while not sandbox.requests:
            time.sleep(0.001)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    hanging.close()


def test_a_body_is_cut_off(world: World) -> None:
    with talking_to(world, faults=Faults(script=[Fault.CUT_OFF])) as (_, client):
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            client.get("bills")
        assert client.get("bills").json()["data"]


def test_a_proxy_answers_html_with_status_200(world: World) -> None:
    with talking_to(world, faults=Faults(script=[Fault.HTML])) as (_, client):
        answer = client.get("bills")
        assert answer.status_code == 200
        assert answer.text.startswith("<html>")


def test_an_empty_page_has_a_token_that_goes_on_from_the_same_place(world: World) -> None:
    script = [Fault.EMPTY_PAGE, Fault.EMPTY_PAGE, None, Fault.EMPTY_PAGE]
    with talking_to(world, faults=Faults(script=script)) as (_, client):
        seen: list[str] = []
        tokens: list[str] = [""]
        while len(tokens) == 1 or tokens[-1]:
            page = client.get("bills", params={"pageSize": 25, "nextToken": tokens[-1]}).json()
            seen += [row["id"] for row in page["data"]]
            tokens.append(page.get("nextToken") or "")
        assert sorted(seen) == sorted(world.bills)
        assert len(set(tokens[:-1])) == len(tokens) - 1 == 6


def test_a_repeated_token_leads_back_to_its_own_page(world: World) -> None:
    with talking_to(world, faults=Faults(script=[None, Fault.REPEATED_TOKEN])) as (_, client):
        token = client.get("bills", params={"pageSize": 5}).json()["nextToken"]
        page = client.get("bills", params={"pageSize": 5, "nextToken": token}).json()
        assert page["nextToken"] == token


def test_bearer_tokens_expire_early(world: World) -> None:
    with talking_to(world, faults=Faults(script=[None, Fault.TOKEN_EXPIRED])) as (_, client):
        assert [client.get("bills").status_code for _ in range(3)] == [200, 403, 403]


def test_a_page_that_is_too_large_is_refused(world: World) -> None:
    with talking_to(world, faults=Faults(too_large_above=25)) as (_, client):
        assert client.get("bills", params={"pageSize": 26}).status_code == 413
        assert client.get("bills", params={"pageSize": 25}).status_code == 200
        assert client.get("bills").status_code == 413


def test_fields_that_nobody_knows_stand_in_every_object(world: World) -> None:
    bill_id = next(
        run["entityId"] for run in world.integration_runs.values() if run["entityType"] == "Bill"
    )
    with talking_to(world, faults=Faults(extra_fields={"replayedFrom": {"id": 1}})) as (_, client):
        for path in ("bills", f"integrationruns/Bill/{bill_id}"):
            assert all(row["replayedFrom"] == {"id": 1} for row in client.get(path).json()["data"])
        (run,) = client.get("integrationruns/Bill/latest", params={"ids": bill_id}).json()
        assert run["replayedFrom"] == {"id": 1}
    assert not any("replayedFrom" in row for row in world.bills.values())


def test_faults_come_as_often_as_asked_and_again_in_the_same_order() -> None:
    faults = Faults({Fault.SERVER_ERROR: 0.1, Fault.RESET: 0.05}, script=[Fault.HTML], seed=11)
    drawn = [faults.draw(number) for number in range(4000)]
    assert drawn == [faults.draw(number) for number in range(4000)]
    assert drawn[0] is Fault.HTML
    count = Counter(drawn)
    assert 340 < count[Fault.SERVER_ERROR] < 460
    assert 150 < count[Fault.RESET] < 250
    assert drawn[1:] != [Faults(faults.probabilities, seed=12).draw(n) for n in range(1, 4000)]


def test_a_hook_answers_spoils_or_changes_the_world(world: World) -> None:
    removed = next(iter(world.bills))

    def hook(request: LoggedRequest) -> Response | Fault | None:
        match request.params.get("pageSize"):
            case ["1"]:
                return Response("teapot", 418)
            case ["2"]:
                return Fault.UNAVAILABLE
            case ["3"]:
                del world.bills[removed]
        return None

    with talking_to(world, on_request=hook) as (sandbox, client):
        statuses = [
            client.get("bills", params={"pageSize": size}).status_code for size in (1, 2, 3)
        ]
        assert statuses == [418, 503, 200]
        assert [each.status for each in sandbox.requests[1:]] == statuses
        ids = {row["id"] for row in client.get("bills").json()["data"]}
        assert removed not in ids


@pytest.mark.parametrize("form", [None, "seconds", "date"])
def test_more_than_the_limit_within_a_second_is_throttled(world: World, form: Any) -> None:
    with talking_to(world, requests_per_second=3) as (sandbox, client):
        sandbox.behaviour.retry_after = form
        while time.time() % 1 > 0.5:
            time.sleep(0.01)
        answers = [client.get("events/types") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 3
        retry_after = answers[-1].headers.get("Retry-After")
        if form is None:
            assert retry_after is None
        elif form == "seconds":
            assert retry_after == "1"
        else:
            assert parsedate_to_datetime(retry_after).tzinfo is not None
        time.sleep(1 - time.time() % 1 + 0.01)
        assert client.get("events/types").status_code == 200


def test_every_answer_takes_its_time(world: World) -> None:
    with talking_to(world, latency=0.05) as (_, client):
        began = time.monotonic()
        client.get("events/types")
        assert time.monotonic() - began >= 0.05


def test_the_log_can_be_switched_off(world: World) -> None:
    with talking_to(world, log_requests=False) as (sandbox, client):
        client.get("events/types")
        assert sandbox.requests == []


def test_it_stops_and_starts_again_on_the_same_port(world: World) -> None:
    with Sandbox(world) as sandbox:
        port = int(sandbox.base_url.rsplit(":", 1)[1])
        assert httpx.get(f"{sandbox.base_url}/sandbox/world").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{sandbox.base_url}/sandbox/world")
    with Sandbox(world, port=port) as again:
        assert again.base_url == sandbox.base_url
        with pytest.raises(OSError, match="in use"), Sandbox(world, port=port):
            pass


def test_served_by_itself_it_answers_until_it_is_interrupted() -> None:
    script = """
from datetime import UTC, datetime
from m3ter_sync.sandbox import Behaviour, build_world, serve
world = build_world(now=datetime(2025, 11, 3, tzinfo=UTC), bills=3, notifications=2, runs=9)
serve(world, Behaviour(), port=%d)
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", script % port], stderr=subprocess.PIPE) as process:
        while True:
            try:
                world = httpx.get(f"http://127.0.0.1:{port}/sandbox/world").json()
                break
            except httpx.ConnectError:
                assert process.poll() is None
                time.sleep(0.05)
        assert len(world["bills"]) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
