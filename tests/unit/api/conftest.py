"""A loopback server that answers as a test tells it to, and a clock that does not wait."""

import gzip
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from m3ter_sync.api import Clock, M3terClient

SECRET = "hush-hush-7f31"
TOKEN_LIFETIME = 18000


class FakeClock(Clock):
    """Waits by moving its own hands; late by as much as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1000.0
        self.late = 0.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return 1_760_000_000.0 + self.seconds

    def wait(self, seconds: float) -> None:
        super().wait(0)
        if seconds > 0:
            with self._lock:
                self.waits.append(seconds)
                self.seconds += seconds + self.late


@dataclass
class Request:
    """What arrived."""

    method: str
    path: str
    params: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Reply:
    """What goes back; `raw` bytes go out as they are, and the connection closes.

    `rest` follows piece by piece, until it ends or the client has had enough.
    """

    status: int = 200
    content: Any = field(default_factory=lambda: {"data": []})
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    gzipped: bool = False
    rest: Iterable[bytes] = ()

    def as_bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        content = self.content
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = dict(self.headers)
        if self.gzipped:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        lines = [f"HTTP/1.1 {self.status} said", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Server:
    """Answers the token request by itself, and everything else from the script, then `otherwise`.

    Attributes:
        script: Replies in the order in which they are given; a function is asked.
        otherwise: Once the script is at its end.
        token_script: Replies to token requests before they succeed.
    """

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.otherwise: Reply | Callable[[Request], Reply] = Reply()
        self.token_script: list[Reply] = []
        self.log: list[Request] = []
        self.tokens = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_any(self) -> None:
                split = urlsplit(self.path)
                request = Request(
                    self.command,
                    split.path,
                    parse_qs(split.query, keep_blank_values=True),
                    dict(self.headers.items()),
                    self.rfile.read(int(self.headers.get("Content-Length", 0))),
                    self.client_address[1],
                )
                reply = server.answer(request)
                self.wfile.write(reply.as_bytes())
                with suppress(BrokenPipeError, ConnectionResetError):
                    for piece in reply.rest:
                        self.wfile.write(piece)
                self.close_connection = reply.raw is not None

            do_GET = do_POST = do_CONNECT = do_any  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        class Http(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                if not isinstance(sys.exception(), ConnectionError):
                    super().handle_error(request, client_address)

        self._http = Http(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, request: Request) -> Reply:
        with self._lock:
            self.log.append(request)
            if request.path.endswith("/oauth/token"):
                if self.token_script:
                    return self.token_script.pop(0)
                self.tokens += 1
                token = f"token-number-{self.tokens}"
                return Reply(200, {"access_token": token, "expires_in": TOKEN_LIFETIME})
            if self.script:
                return self.script.pop(0)
            otherwise = self.otherwise
        return otherwise if isinstance(otherwise, Reply) else otherwise(request)

    @property
    def asked(self) -> list[Request]:
        """Requests but for tokens."""
        return [request for request in self.log if request.method == "GET"]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def make_server() -> Iterator[Callable[[], Server]]:
    """Makes more of them."""
    made: list[Server] = []

    def make() -> Server:
        made.append(Server())
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_client(server: Server, clock: FakeClock) -> Iterator[Callable[..., M3terClient]]:
    made: list[M3terClient] = []

    def make(**options: Any) -> M3terClient:
        settings = {
            "org_id": "org-1",
            "access_key_id": "key-1",
            "api_secret": SECRET,
            "base_url": server.url,
            "requests_per_second": 1000,
            "clock": clock,
        }
        made.append(M3terClient(**(settings | options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def client(make_client: Callable[..., M3terClient]) -> M3terClient:
    return make_client()


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def in_threads() -> Callable[[int, Callable[[], Any]], list[Any]]:
    """Run a function in many threads that start together; return results or errors."""

    def run(count: int, function: Callable[[], Any]) -> list[Any]:
        results: list[Any] = []
        start = threading.Barrier(count)

        def work() -> None:
            start.wait()
            try:
                results.append(function())
            except Exception as error:  # noqa: BLE001
                results.append(error)

        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run
