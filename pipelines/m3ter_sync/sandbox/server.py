"""Runs the API on a real socket: in a thread for tests and the demo, or by itself."""

import asyncio
import socket
import threading
from types import TracebackType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .app import Api
from .behaviour import Behaviour, LatestShape, LoggedRequest, RequestHook
from .faults import Faults
from .spoiling import TRANSPORT
from .world import World

LOOPBACK = "127.0.0.1"


class _Protocol(HttpToolsProtocol):
    """Leaves the transport in the scope, so that faults can cut the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class _Server(uvicorn.Server):
    """Tells when it is ready, and lets hanging requests go when it stops."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.ready = threading.Event()
        super().__init__(
            uvicorn.Config(
                api,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=3,
                backlog=2048,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._api.closing = asyncio.Event()
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._api.closing.set()
        await super().shutdown(sockets)


class Sandbox:
    """A local m3ter while the context lasts, on 127.0.0.1 and a free port.

    `behaviour` holds all settings and may be changed at any time; the arguments are the usual
    ones of them. `requests` is the log, in the order of arrival, requests for tokens included.
    """

    def __init__(
        self,
        world: World,
        *,
        port: int = 0,
        requests_per_second: float | None = None,
        latency: float = 0.0,
        faults: Faults | None = None,
        on_request: RequestHook | None = None,
        expires_in: int = 18_000,
        latest_shape: LatestShape = "list",
        latest_most_ids: int = 100,
        log_requests: bool = True,
    ) -> None:
        self.world = world
        self.behaviour = Behaviour(
            requests_per_second=requests_per_second,
            latency=latency,
            faults=faults or Faults(),
            on_request=on_request,
            expires_in=expires_in,
            latest_shape=latest_shape,
            latest_most_ids=latest_most_ids,
            log_requests=log_requests,
        )
        self.api = Api(world, self.behaviour)
        self._port = port

    @property
    def org_id(self) -> str:
        """The organization that the API knows."""
        return self.behaviour.org_id

    @property
    def access_key_id(self) -> str:
        """The key that it accepts."""
        return self.behaviour.access_key_id

    @property
    def api_secret(self) -> str:
        """The secret that it accepts."""
        return self.behaviour.api_secret

    @property
    def requests(self) -> list[LoggedRequest]:
        """Every request so far; clear it to count from here."""
        return self.api.requests

    @property
    def tokens_given(self) -> list[str]:
        """Every bearer token so far, for whoever looks for one that leaked."""
        return self.api.tokens_given

    def expire_tokens(self) -> None:
        """Makes every bearer token that was given out worthless."""
        self.api.expire_tokens()

    def __enter__(self) -> "Sandbox":
        listener = _listen(LOOPBACK, self._port)
        self.base_url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        self._server = _Server(self.api)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="sandbox", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(10):
            raise RuntimeError("the sandbox did not start within 10 seconds")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def serve(world: World, behaviour: Behaviour, *, host: str = LOOPBACK, port: int = 8085) -> None:
    """Serves the world until the process is interrupted.

    Raises:
        OSError: the port is taken.
    """
    _Server(Api(world, behaviour)).run([_listen(host, port)])


def _listen(host: str, port: int) -> socket.socket:
    # asyncio switches Nagle's delay off only where the protocol is named.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener
