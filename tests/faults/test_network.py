"""Between the program and m3ter: whatever the network does, no row is lost and none is made up."""

import itertools
import socket
from collections.abc import Callable
from typing import Any

from . import proxy
from .conftest import Case
from .proxy import Toxic
from .rows import ALL, NOTHING, OTHERS, Fault, declare

_CUT = "127.0.0.1:…: the connection was cut"
_CUT_OFF = "127.0.0.1:…: the answer was cut off"
_LATE = "127.0.0.1:…: no answer in time"
_NO_JSON = "m3ter answered 200 with something that is not JSON"
_OK = "200 OK\nContent-Type: application/json\n"
_GAVE_UP = " (gave up after … attempts in … s)."
_LATER = f"{_GAVE_UP} Try again later. "
_ONE = "1 of 18 listings of integration runs failed; what the others brought is loaded."
_ADDRESS = "Check base_url and the network (name service, firewall, HTTPS_PROXY)."


def of_one(what: str, sees: str, toxic: Toxic, then: str = _LATER) -> Fault:
    """What one bill's listing always meets."""
    sees = f"GET integrationruns/Bill/…: {sees}{then}{_ONE}"
    return Fault(f"{what}, to one bill's listing", sees, holds=OTHERS, cause=toxic)


NETWORK = (
    of_one("connection reset before the answer", _CUT, proxy.reset),
    of_one("connection reset within the answer", _CUT, proxy.reset_midway),
    of_one("connection closed without an answer", _CUT, proxy.close),
    of_one("body cut off", _CUT_OFF, proxy.cut_off),
    of_one("answer that stops half-way", _LATE, proxy.fall_silent),
    of_one("head that trickles, a byte now and then", _LATE, proxy.trickle),
    of_one("body that trickles, a byte now and then", _LATE, proxy.trickle_body),
    of_one("Content-Length too long", _CUT_OFF, proxy.say_length(2)),
    of_one(
        "Content-Length too short",
        _NO_JSON,
        proxy.say_length(0.5),
        f"{_GAVE_UP} Check base_url, and any proxy on the way. ",
    ),
    of_one(
        "chunks that are none",
        _CUT_OFF,
        proxy.say("200 OK\nTransfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n"),
    ),
    of_one(
        "gzip that is none",
        "127.0.0.1:…: the answer cannot be decompressed",
        proxy.say(_OK + "Content-Encoding: gzip\nContent-Length: {length}"),
    ),
    of_one(
        "a proxy's HTML with status 200",
        _NO_JSON,
        proxy.say("200 OK\nContent-Length: {length}", b"<html>Please sign in</html>"),
        f"{_GAVE_UP} Check base_url, and any proxy on the way. ",
    ),
    of_one(
        "JSON of another shape with status 200",
        "the answer has no list 'data'. Check base_url; if it is right, m3ter's API has changed.",
        proxy.say(_OK + "Content-Length: {length}", b'{"status": "ok"}'),
        " ",
    ),
)


@declare(*NETWORK)
def test_a_listing_that_the_network_spoils_keeps_no_other_back(fault: Fault, case: Case) -> None:
    bill = next(iter(case.world.bills))
    case.proxy.choose = lambda line: fault.cause if f"/Bill/{bill}" in line else None
    # Short where it is waited for, long where a busy machine must not be taken for a bad network.
    case.check(fault, case.sync(timeout_seconds=2 if _LATE in fault.sees else 20))
    case.check_next()


@declare(Fault("any of these, when it passes", exit_code=0, holds=ALL))
def test_what_passes_is_not_noticed(fault: Fault, case: Case) -> None:
    """Each listing meets a fault, then is answered; so are the inventory's."""
    toxics = itertools.cycle(each.cause for each in NETWORK[:-1])
    spoiled: set[str] = set()

    def choose(line: str) -> Toxic | None:
        if line in spoiled or "oauth" in line:
            return None
        spoiled.add(line)
        return next(toxics)

    case.proxy.choose = choose
    result = case.sync(retry_seconds=60, page_size=200, timeout_seconds=2)
    case.check(fault, result)
    assert len(spoiled) > len(NETWORK)
    case.check_next()


def refuse(case: Case) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return {"base_url": f"http://127.0.0.1:{free.getsockname()[1]}"}


def find_no_host(_: Case) -> dict[str, Any]:
    return {"base_url": "https://m3ter.invalid"}


@declare(
    Fault(
        "connection refused",
        f"POST /oauth/token: 127.0.0.1:…: it refuses the connection{_GAVE_UP} {_ADDRESS}",
        holds=NOTHING,
        cause=refuse,
    ),
    Fault(
        "host that cannot be found",
        f"POST /oauth/token: m3ter.invalid: the host cannot be found{_GAVE_UP} {_ADDRESS}",
        holds=NOTHING,
        cause=find_no_host,
    ),
)
def test_an_address_where_nobody_is(fault: Fault, case: Case) -> None:
    given: Callable[[Case], dict[str, Any]] = fault.cause
    case.check(fault, case.sync(env={"M3TER_BASE_URL": given(case)["base_url"]}))
    case.check_next()


@declare(
    Fault(
        "connection that nobody accepts",
        f"POST /oauth/token: 127.0.0.1:…: no connection in time{_GAVE_UP} {_ADDRESS}",
        holds=NOTHING,
    )
)
def test_a_server_that_accepts_nobody(fault: Fault, case: Case) -> None:
    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # With these its queue is full, and the kernel answers no more.
        for waiting in (one, two):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        case.check(fault, case.sync(env={"M3TER_BASE_URL": url}, timeout_seconds=0.3))
    case.check_next()


@declare(
    Fault(
        "network that goes away in mid-listing",
        f"GET integrationruns/…: 127.0.0.1:…: …{_GAVE_UP} … of … listings of integration runs "
        "failed, too many in a row to try more; what the others brought is loaded.",
    )
)
def test_an_outage_ends_the_sync_soon_and_keeps_what_is_complete(fault: Fault, case: Case) -> None:
    listed = itertools.count()
    case.proxy.choose = lambda line: (
        proxy.close if "/integrationruns/" in line and next(listed) > 3 else None
    )
    case.check(fault, case.sync(threads=2, page_size=200, retry_seconds=0))
    assert next(listed) < 45, "each of the others was tried"
    case.check_next()
