"""m3ter itself, or a gateway before it, answers otherwise than its reference says."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response

from m3ter_sync.sandbox import Fault as Spoiled
from m3ter_sync.sandbox import LoggedRequest, Sandbox, build_world
from m3ter_sync.sandbox.listing import list_runs

from .conftest import NOW, Case
from .rows import ALL, BEFORE, NOTHING, OTHERS, Fault, declare

_ONE = "1 of 18 listings of integration runs failed; what the others brought is loaded."
_CHECK_VALUES = "Check base_url and the values that were given."
_NEVER_END = "so the listing would never end. Try again; if it stays so, report it to m3ter."


def answer(status: int, message: str = "no") -> Response:
    return JSONResponse({"message": message}, status)


def lists_runs(log: LoggedRequest) -> bool:
    return "/integrationruns/" in log.path and not log.path.endswith("/latest")


@pytest.fixture
def bill(case: Case) -> str:
    """The bill with the most runs."""
    runs = case.world.listed_runs().values()
    ids = [row["entityId"] for row in runs if row["entityType"] == "Bill"]
    return max(ids, key=ids.count)


def servers_fail() -> Callable[[], Response]:
    statuses = itertools.cycle([500, 502, 503, 504])
    return lambda: answer(next(statuses))


def refuses() -> Callable[[], Response]:
    return lambda: answer(400)


def forbids() -> Callable[[], Response]:
    return lambda: answer(403)


def sends(*tokens: str) -> Callable[[], Callable[[], Response]]:
    def start() -> Callable[[], Response]:
        given = itertools.cycle(tokens) if tokens else map(str, itertools.count(1))
        return lambda: JSONResponse({"data": [], "nextToken": next(given)})

    return start


@declare(
    Fault(
        "500, 502, 503 and 504, to one bill's listing",
        'GET integrationruns/Bill/…: m3ter answered 50… "no" (gave up after … attempts in … s). '
        f"Try again later. {_ONE}",
        holds=OTHERS,
        cause=servers_fail,
    ),
    Fault(
        "400 to one bill's listing",
        f'GET integrationruns/Bill/…: m3ter answered 400 "no". {_CHECK_VALUES} {_ONE}',
        holds=OTHERS,
        cause=refuses,
    ),
    Fault(
        "403 to one bill's listing",
        'GET integrationruns/Bill/…: m3ter answered 403 "no", also to a new token. Check that '
        "org_id … is the organization of this access key, and that its permissions allow to read "
        f"this. {_ONE}",
        exit_code=2,
        holds=OTHERS,
        cause=forbids,
    ),
    Fault(
        "the same nextToken again, in one bill's listing",
        f"GET integrationruns/Bill/…: m3ter sent the same nextToken twice, {_NEVER_END} {_ONE}",
        holds=OTHERS,
        cause=sends("a"),
    ),
    Fault(
        "nextTokens in a circle, in one bill's listing",
        f"GET integrationruns/Bill/…: m3ter sent the same nextToken twice, {_NEVER_END} {_ONE}",
        holds=OTHERS,
        cause=sends("a", "b", "c"),
    ),
    Fault(
        "pages without end or rows, in one bill's listing",
        "GET integrationruns/Bill/…: m3ter sent 1000 pages in a row with nothing new, "
        f"{_NEVER_END} {_ONE}",
        holds=OTHERS,
        cause=sends(),
    ),
)
def test_a_listing_that_m3ter_spoils_keeps_no_other_back(
    fault: Fault, case: Case, bill: str
) -> None:
    respond = fault.cause()
    case.sandbox.behaviour.on_request = lambda log: (
        respond() if log.path.endswith(f"/Bill/{bill}") else None
    )
    result = case.sync()
    assert bill in result.stderr
    case.check(fault, result)
    if "nextToken" in fault.what:
        assert sum(each.path.endswith(bill) for each in case.sandbox.requests) < 10
    case.sandbox.behaviour.on_request = None
    case.check_next()


@pytest.mark.parametrize("status", ["AUTH_FAILED", "AWAITING_RETRY", "WAITING"])
@declare(
    Fault(
        "400 to one bill's listing after its waiting runs were listed",
        f'GET integrationruns/Bill/…: m3ter answered 400 "no". {_CHECK_VALUES} … of … listings of '
        "integration runs failed; what the others brought is loaded.",
        holds=BEFORE,
    )
)
def test_what_is_listed_ahead_hides_no_elder_run(
    fault: Fault, status: str, case: Case, bill: str
) -> None:
    """Found: the cursor passed by what lay between, and the bill counted as settled."""

    def add(ago: timedelta, status: str) -> None:
        world = case.world
        created = int((world.now - ago).timestamp() * 1000)
        row = world.deliveries.create(world.bill_routes(world.bills[bill])[0], created)
        started = None if status == "WAITING" else row["dtCreated"]
        row |= {"status": status, "dtStarted": started}
        with world.lock:
            world.integration_runs[row["id"]] = row

    hours = {"page_size": 1, "overlap_hours": 1}
    case.warehouse.sync(**hours)
    case.world.now += timedelta(days=6)
    case.remember()
    for days in (5, 4, 3, 2):
        add(timedelta(days=days), "COMPLETE")
    add(timedelta(days=1), status)
    case.sandbox.behaviour.on_request = lambda log: (
        answer(400) if log.path.endswith(bill) and "status" not in log.params else None
    )
    case.check(fault, case.sync(**hours))
    assert any("status" in each.params for each in case.sandbox.requests)
    case.sandbox.behaviour.on_request = None
    case.check_next(**hours)


def throttle(retry_after: Any) -> Callable[[Case], None]:
    """The ninth and the twelfth request are answered 429."""

    def start(case: Case) -> None:
        case.sandbox.behaviour.retry_after = retry_after
        case.sandbox.behaviour.faults.script = [None] * 8 + [
            Spoiled.THROTTLED,
            None,
            None,
            Spoiled.THROTTLED,
        ]

    return start


def spoil(*spoiled: Spoiled | None) -> Callable[[Case], None]:
    def start(case: Case) -> None:
        case.sandbox.behaviour.faults.script = spoiled

    return start


def answer_all(case: Case) -> None:
    """Each of these once, for requests of all kinds."""
    kinds = (Spoiled.SERVER_ERROR, Spoiled.BAD_GATEWAY, Spoiled.UNAVAILABLE)
    kinds += (Spoiled.GATEWAY_TIMEOUT, Spoiled.HTML, Spoiled.RESET, Spoiled.CUT_OFF)
    case.sandbox.behaviour.faults.script = [
        each for kind in kinds for each in (None, None, None, kind)
    ]


def serve_twice(case: Case) -> None:
    """Each page of runs begins with the run that the one before it ended with."""
    ends: dict[str, Any] = {}

    def respond(log: LoggedRequest) -> Response | None:
        if not lists_runs(log):
            return None
        params = QueryParams({name: values[-1] for name, values in log.params.items()})
        page = list_runs(case.world, *log.path.split("/")[-2:], params)
        rows = page["data"]
        first = [ends[log.path]] if params.get("nextToken") else []
        if rows:
            ends[log.path] = rows[-1]
        return JSONResponse(page | {"data": [*first, *rows]})

    case.sandbox.behaviour.on_request = respond


def move_on(case: Case) -> None:
    """A run that was on the first page of its listing starts anew and is on the last one, too."""
    moved: set[str] = set()

    def respond(log: LoggedRequest) -> None:
        if lists_runs(log) and "nextToken" in log.params and log.path not in moved:
            moved.add(log.path)
            page = list_runs(case.world, *log.path.split("/")[-2:], QueryParams({"order": "ASC"}))
            now = case.world.now.isoformat().replace("+00:00", "Z")
            case.world.change_run(
                page["data"][0]["id"], status="STARTED", dtStarted=now, dtCompleted=None
            )

    case.sandbox.behaviour.on_request = respond


@declare(
    Fault("500, 502, 503, 504 that pass", exit_code=0, holds=ALL, cause=answer_all),
    Fault("a burst of 429", exit_code=0, holds=ALL, cause=throttle(None)),
    Fault(
        "a burst of 429 with Retry-After in seconds",
        exit_code=0,
        holds=ALL,
        cause=throttle("seconds"),
    ),
    Fault(
        "a burst of 429 with Retry-After as a date", exit_code=0, holds=ALL, cause=throttle("date")
    ),
    Fault(
        "a token that expires in mid-listing",
        exit_code=0,
        holds=ALL,
        cause=spoil(*[None] * 9, Spoiled.TOKEN_EXPIRED, *[None] * 30, Spoiled.TOKEN_EXPIRED),
    ),
    Fault(
        "empty pages that carry a token",
        exit_code=0,
        holds=ALL,
        cause=spoil(*[None, Spoiled.EMPTY_PAGE] * 30),
    ),
    Fault("a run on two pages", exit_code=0, holds=ALL, cause=serve_twice),
    Fault("a run that changes pages while it is listed", exit_code=0, holds=ALL, cause=move_on),
)
def test_what_m3ter_may_do_is_not_noticed(fault: Fault, case: Case) -> None:
    fault.cause(case)
    is_throttled = "429" in fault.what
    case.check(fault, case.sync(retry_seconds=60, page_size=3, threads=1 if is_throttled else 8))
    if is_throttled:
        refused = [pair for pair in pairwise(case.sandbox.requests) if pair[0].status == 429]
        assert len(refused) == 2
        for each, after in refused:
            pause = after.received_at - each.received_at
            # Without being told how long to wait, it waits for the next second.
            is_next = after.received_at.second != each.received_at.second
            assert pause >= timedelta(seconds=1) or ("Retry" not in fault.what and is_next)
    case.sandbox.behaviour.on_request = None
    case.check_next()


def revoke(case: Case) -> None:
    """The key is taken back when some listings are done."""
    listed = itertools.count()

    def respond(log: LoggedRequest) -> None:
        if lists_runs(log) and next(listed) == 12:
            case.sandbox.behaviour.api_secret = "another"
            case.sandbox.expire_tokens()

    case.sandbox.behaviour.on_request = respond


def respond_from(number: int, status: int) -> Callable[[Case], None]:
    """Listings of runs get this answer, from that one on."""

    def start(case: Case) -> None:
        listed = itertools.count()
        case.sandbox.behaviour.on_request = lambda log: (
            answer(status) if lists_runs(log) and next(listed) >= number else None
        )

    return start


def respond_always(response: Callable[[], Response]) -> Callable[[Case], None]:
    def start(case: Case) -> None:
        case.sandbox.behaviour.on_request = lambda log: (
            None if log.path.endswith("/token") else response()
        )

    return start


@declare(
    Fault(
        "a key that is revoked in mid-listing",
        'POST /oauth/token: m3ter answered 401 "Unauthorized". Check access_key_id and api_secret '
        "(M3TER_API_KEY, M3TER_API_SECRET).",
        exit_code=2,
        cause=revoke,
    ),
    Fault(
        "a permission that is missing: 403 to every listing of runs",
        'GET integrationruns/…: m3ter answered 403 "no", also to a new token. Check that org_id … '
        "is the organization of this access key, and that its permissions allow to read this. "
        "… of 128 listings of integration runs failed, too many in a row to try more; what the "
        "others brought is loaded.",
        exit_code=2,
        cause=respond_from(0, 403),
    ),
    Fault(
        "429 that does not end",
        'GET integrationruns/…: m3ter answered 429 "no", too many requests (gave up after … '
        "attempts in … s). Lower requests_per_second, or sync when the organization sends less. "
        "… of 128 listings of integration runs failed, too many in a row to try more; what the "
        "others brought is loaded.",
        cause=respond_from(20, 429),
    ),
    Fault(
        "404 to every listing of runs",
        "m3ter lists … and … others, yet answers 404 when asked for their integration runs. "
        "That is not believed: nothing is marked as gone, and what the others brought is loaded. "
        "Check base_url and any proxy; if they were really deleted, sync with --accept-shrink (or "
        "set shrink_limit to 1).",
        cause=respond_from(0, 404),
    ),
    Fault(
        "404 to more than half of the listings of runs",
        "m3ter lists … and 67 others, yet answers 404 when asked for their integration runs. "
        "That is not believed: nothing is marked as gone, and what the others brought is loaded. "
        "Check base_url and any proxy; if they were really deleted, sync with --accept-shrink (or "
        "set shrink_limit to 1).",
        cause=respond_from(60, 404),
    ),
    Fault(
        "404 to everything",
        f'GET …: m3ter answered 404 "no". {_CHECK_VALUES}',
        holds=NOTHING,
        cause=respond_always(lambda: answer(404)),
    ),
    Fault(
        "HTML with status 200 to everything",
        "GET …: m3ter answered 200 with something that is not JSON (gave up after … attempts in "
        "… s). Check base_url, and any proxy on the way.",
        holds=NOTHING,
        cause=respond_always(lambda: Response("<html>Sign in</html>", media_type="text/html")),
    ),
)
def test_what_m3ter_refuses_ends_the_sync_soon_and_marks_nothing(
    fault: Fault, open_warehouse: Callable[..., Any], make_case: Callable[..., Case]
) -> None:
    world = build_world(now=NOW, bills=120, notifications=8, runs=128, open_runs=2)
    with Sandbox(world) as sandbox:
        case = make_case(sandbox)
        fault.cause(case)
        case.check(fault, case.sync(threads=2, page_size=200, retry_seconds=0))
        asked = [each for each in case.sandbox.requests if lists_runs(each)]
        assert len(asked) < 260, "it went on and on"
        if fault.holds != NOTHING:
            gone = case.warehouse.query("from m3ter_raw.entities where is_gone")
            assert gone == []
        case.sandbox.behaviour.on_request = None
        case.sandbox.behaviour.api_secret = "sandbox-secret"
        case.check_next()


@declare(
    Fault(
        "404 to the listings of a few that m3ter lists",
        exit_code=0,
        after="lists these in full and comes right",
    )
)
def test_a_few_404s_are_believed_until_the_next_sync(fault: Fault, case: Case, bill: str) -> None:
    """They are named in the summary; what is loaded of them stays."""
    case.sync_before()
    held = case.warehouse.rows("integration_runs")
    case.sandbox.behaviour.on_request = lambda log: answer(404) if bill in log.path else None
    result = case.sync("--full")
    case.check_seen(fault, result.exit_code, result.stderr)
    assert f"Bill {bill} is gone: its rows stay" in result.stdout
    assert held.keys() <= case.warehouse.rows("integration_runs").keys()
    case.sandbox.behaviour.on_request = None
    case.check_next()
    (asked,) = {
        "startDate" in each.params for each in case.sandbox.requests if each.path.endswith(bill)
    }
    assert not asked


def test_those_that_were_really_deleted_are_accepted_when_asked_to(case: Case) -> None:
    respond_from(0, 404)(case)
    result = case.sync("--accept-shrink")
    assert result.exit_code == 0
    (gone,) = case.warehouse.query("select count(*) as n from m3ter_raw.entities where is_gone")
    assert gone["n"] == 18
