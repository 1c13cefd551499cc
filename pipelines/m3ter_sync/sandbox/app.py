"""The API itself: an ASGI application that answers as m3ter-api.md says."""

import asyncio
import base64
import binascii
import secrets
import time
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import spoiling
from .behaviour import Behaviour, LoggedRequest, now
from .faults import STATUS_OF, Fault
from .listing import (
    ENTITY_TYPES,
    Page,
    ParameterError,
    latest_runs,
    list_bills,
    list_integrations,
    list_notifications,
    list_runs,
    read_ids,
)
from .world import World

_TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path, not a secret


class RefusedError(Exception):
    """An answer other than 200, with m3ter's error body."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class Api:
    """Token, guards and endpoints over one world."""

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self.world = world
        self.behaviour = behaviour
        self.requests: list[LoggedRequest] = []
        self.closing = asyncio.Event()
        self.tokens_given: list[str] = []
        self._tokens: dict[str, float] = {}
        self._answered = 0
        self._second = 0
        self._in_second = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = Request(scope, receive)
        if scope["path"].startswith("/sandbox/"):
            await self._control(request)(scope, receive, send)
            return
        log = LoggedRequest(
            scope["method"], scope["path"], scope["query_string"].decode("latin-1"), now()
        )
        if self.behaviour.log_requests:
            self.requests.append(log)
        answer = self.behaviour.on_request(log) if self.behaviour.on_request else None
        if answer is None and scope["path"] != _TOKEN_PATH:
            answer = self.behaviour.faults.draw(self._answered)
            self._answered += 1
        if self.behaviour.latency:
            await asyncio.sleep(self.behaviour.latency)
        if answer is Fault.RESET:
            await spoiling.reset(scope, receive)
            return
        if answer is Fault.HANG:
            await spoiling.hang(receive, self.closing)
            return
        response = answer if isinstance(answer, Response) else await self._answer(request, answer)
        log.status = response.status_code
        if answer is Fault.CUT_OFF:
            await spoiling.cut_off(response, scope, receive, send)
            return
        await response(scope, receive, send)

    def expire_tokens(self) -> None:
        """Makes every bearer token that was given out worthless."""
        self._tokens.clear()

    async def _answer(self, request: Request, fault: Fault | None) -> Response:
        try:
            if request.url.path == _TOKEN_PATH:
                return _json(await self._give_token(request))
            if fault is Fault.TOKEN_EXPIRED:
                self.expire_tokens()
            if fault in STATUS_OF:
                raise RefusedError(
                    STATUS_OF[fault], "Injected fault", self._when_to_come_again(fault)
                )
            if fault is Fault.HTML:
                return Response("<html><body>Please wait</body></html>", media_type="text/html")
            endpoint = self._check_access(request)
            self._check_rate()
            with self.world.lock:
                content = self._read(endpoint, request.query_params, fault)
                return _json(content)
        except ParameterError as error:
            return _json({"message": str(error)}, 400)
        except RefusedError as refusal:
            return _json({"message": refusal.message}, refusal.status, refusal.headers)

    async def _give_token(self, request: Request) -> Any:
        if request.method != "POST":
            raise RefusedError(405, "Method not allowed")
        expected = f"{self.behaviour.access_key_id}:{self.behaviour.api_secret}"
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            given = b""
        if scheme.lower() != "basic" or not secrets.compare_digest(given, expected.encode()):
            raise RefusedError(401, "Unauthorized")
        if await _grant_type(request) != "client_credentials":
            raise RefusedError(400, "grant_type must be client_credentials")
        token = secrets.token_urlsafe(32)
        self.tokens_given.append(token)
        self._tokens[token] = time.monotonic() + self.behaviour.expires_in
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.behaviour.expires_in,
            "scope": "",
        }

    def _check_access(self, request: Request) -> list[str]:
        """The path within the organization; m3ter answers 403, not 401, to a bearer it refuses."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self._tokens.get(token, 0.0) <= time.monotonic():
            raise RefusedError(403, "User is not authorized to access this resource")
        root, org_id, *endpoint = [*request.url.path.strip("/").split("/"), ""]
        if root != "organizations" or not endpoint:
            raise RefusedError(404, "Not found")
        if org_id != self.behaviour.org_id:
            raise RefusedError(403, "User is not authorized to access this resource")
        if request.method != "GET":
            raise RefusedError(405, "Method not allowed")
        return endpoint[:-1]

    def _check_rate(self) -> None:
        if self.behaviour.requests_per_second is None:
            return
        second = int(time.time())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second > self.behaviour.requests_per_second:
            raise RefusedError(429, "Too many requests", self._when_to_come_again(Fault.THROTTLED))

    def _when_to_come_again(self, fault: Fault) -> dict[str, str] | None:
        if fault is not Fault.THROTTLED or self.behaviour.retry_after is None:
            return None
        if self.behaviour.retry_after == "seconds":
            return {"Retry-After": "1"}
        return {"Retry-After": format_datetime(now() + timedelta(seconds=1), usegmt=True)}

    def _read(self, endpoint: list[str], params: QueryParams, fault: Fault | None) -> Any:
        world, faults = self.world, self.behaviour.faults
        match endpoint:
            case ["events", "types"]:
                return {"events": world.event_types}
            case ["integrationruns", entity_type, "latest"] if entity_type in ENTITY_TYPES:
                return self._latest(entity_type, params)
            case ["integrationruns", entity_type, entity_id]:
                if not world.has_entity(entity_type, entity_id) or entity_type not in ENTITY_TYPES:
                    raise RefusedError(404, f"No {entity_type} with id {entity_id}")
                page = list_runs(world, entity_type, entity_id, params)
            case ["notifications", "configurations"]:
                page = list_notifications(world, params)
            case ["integrationconfigs"]:
                page = list_integrations(world, params)
            case ["bills"]:
                page = list_bills(world, params)
            case _:
                raise RefusedError(404, "Not found")
        size = int(params.get("pageSize", len(page["data"])))
        if faults.too_large_above is not None and size > faults.too_large_above:
            raise RefusedError(413, "Response too large: ask for a smaller page")
        if faults.extra_fields:
            page["data"] = [row | faults.extra_fields for row in page["data"]]
        return spoiling.spoil_page(page, params, fault)

    def _latest(self, entity_type: str, params: QueryParams) -> Any:
        shape, ids = self.behaviour.latest_shape, read_ids(params)
        if shape == "none":
            raise RefusedError(404, "Not found")
        if len(ids) > self.behaviour.latest_most_ids:
            raise RefusedError(self.behaviour.latest_refusal, f"{len(ids)} ids are too many")
        runs = latest_runs(self.world, entity_type, ids, is_wrong=shape == "wrong")
        if extra_fields := self.behaviour.faults.extra_fields:
            runs = [run | extra_fields for run in runs]
        if shape == "partial":
            del runs[2::3]
        if shape == "data":
            return {"data": runs}
        if shape == "object" and len(ids) == 1:
            return runs[0] if runs else {}
        return runs

    def _control(self, request: Request) -> Response:
        """What another process needs to steer the sandbox; asks for no token."""
        world = self.world
        match request.method, request.url.path:
            case "POST", "/sandbox/advance":
                try:
                    days = float(request.query_params.get("days", "1"))
                except ValueError:
                    return _json({"message": "days must be a number"}, 400)
                return _json(world.advance(days))
            case "GET", "/sandbox/requests":
                return _json(
                    [
                        {
                            "method": each.method,
                            "path": each.path,
                            "params": each.params,
                            "status": each.status,
                            "received_at": each.received_at,
                        }
                        for each in self.requests
                    ]
                )
            case "GET", "/sandbox/world":
                with world.lock:
                    return _json(
                        {
                            "now": world.now,
                            "bills": list(world.bills.values()),
                            "integration_runs": list(world.integration_runs.values()),
                            "notification_configurations": list(
                                world.notification_configurations.values()
                            ),
                            "integration_configurations": list(
                                world.integration_configurations.values()
                            ),
                            "event_types": world.event_types,
                        }
                    )
        return _json({"message": "Not found"}, 404)


async def _grant_type(request: Request) -> object:
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParameterError("The body is not JSON") from error
        return content.get("grant_type") if isinstance(content, dict) else None
    return QueryParams(body.decode("latin-1")).get("grant_type")


def _json(
    content: Page | Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")
