"""The way to m3ter's host: one `requests` session whose connections stay open between requests."""

import errno
import io
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any, TypeVar
from urllib.parse import urlsplit

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout, ProxyError, RequestException
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import DecodeError, HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.poolmanager import PoolManager, ProxyManager

from m3ter_sync.api.errors import InsecureUrl
from m3ter_sync.api.retry import Transient

# Bytes, decompressed: three times a page of 200 runs with an error of 100 kB each. Above it stand
# an attack, a broken server, or a page that is better asked for in halves; all threads together
# hold at most so much each.
LARGEST_ANSWER = 64 * 1024**2
# Of which 200 characters are shown.
_LARGEST_REFUSAL = 1024**2
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the body is decompressed, and empty where it was too large to be read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_too_large: bool = False


_Manager = TypeVar("_Manager", bound=PoolManager)
_LONGEST_CONNECT_SECONDS = 10.0


class _Deadline(io.RawIOBase):
    """Reads from a socket until an answer has taken twice as long as a silence may last.

    The socket's own time-out starts anew with every byte: a server that sends one now and then
    would hold a sync for ever.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._silence = sock.gettimeout() or 0.0
        self._until = time.monotonic() + 2 * self._silence

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        if left < self._silence:
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Deadline(self.fp.detach(), sock))


class _HttpConnection(HTTPConnection):
    response_class = _Response


class _HttpsConnection(HTTPSConnection):
    response_class = _Response


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _Adapter(HTTPAdapter):
    """Bounds the time of an answer.

    Leaves out what nobody here asks for: cookies, a guessed encoding, a history.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound_time(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        return _bound_time(manager)

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        response = Response()
        response.status_code = resp.status
        response.headers = resp.headers
        response.raw = resp
        return response


def _bound_time(manager: _Manager) -> _Manager:
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return manager


class Connection:
    """Sends one request and reads the whole answer; safe for many threads.

    What requests would settle anew for each request is settled once: proxies and the certificate
    bundle come from the environment (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE). Requests go
    straight to the session's adapter, because the layer above it would put a login from ~/.netrc
    in the place of the token, and would follow a redirect to another host.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connections: int,
        timeout: float,
    ) -> None:
        self._timeout = (min(timeout, _LONGEST_CONNECT_SECONDS), timeout)
        self._session = Session()
        self._adapter = _Adapter(pool_connections=1, pool_maxsize=connections, pool_block=True)
        self._session.mount(base_url, self._adapter)
        settings = self._session.merge_environment_settings(base_url, {}, True, None, None)
        self._verify = settings["verify"] or True
        # Plain http is for this machine alone: a proxy would carry the token out of it.
        self._proxies = settings["proxies"] if base_url.startswith("https:") else {}

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """Send once and read the whole answer, whatever its status.

        Raises:
            Transient: No answer, or not all of it.
        """
        request = PreparedRequest()
        request.method = method
        request.url = url
        request.headers = CaseInsensitiveDict(headers)
        request.body = body
        try:
            response = self._adapter.send(
                request,
                stream=True,
                timeout=self._timeout,
                verify=self._verify,
                proxies=self._proxies,
            )
            is_refusal = response.status_code >= 300
            body = self._read(response.raw, _LARGEST_REFUSAL if is_refusal else LARGEST_ANSWER)
            return Answer(response.status_code, response.headers, body or b"", body is None)
        except (RequestException, HTTPError, OSError) as error:
            failure = _describe(error, url)
        # Outside of the handler: what requests raises holds the request, and that the token.
        raise failure

    def _read(self, raw: Any, limit: int) -> bytes | None:
        """Read a body to its end; None where it is larger than the limit."""
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := raw.read1(_PIECE, decode_content=True):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    break
            return b"".join(pieces) if size <= limit else None
        finally:
            # What was not read to its end cannot serve another request, but its place can.
            if not raw.isclosed():
                raw.close()
            raw.release_conn()

    def close(self) -> None:
        """Close the connections that are open and idle."""
        self._session.close()


def check_base_url(url: str) -> str:
    """Return the URL without a trailing slash.

    Raises:
        InsecureUrl: It is not https (http is for loopback alone), or holds a login.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InsecureUrl(
            "base_url is not an address: use one like https://api.m3ter.com"
        ) from None
    if "@" in url or "\\" in url or not url.isascii() or not url.isprintable() or " " in url:
        raise InsecureUrl(
            "base_url must be a plain address like https://api.m3ter.com, without a login in it: "
            "put the credentials into access_key_id and api_secret"
        )
    # Python before 3.11.9 takes [::1].evil.com for ::1.
    shown = f"[{host}]" if host and ":" in host else host
    is_plain = re.fullmatch(rf"{re.escape(shown or '?')}(:\d+)?", parts.netloc.lower())
    if not is_plain or parts.scheme not in ("https", "http") or parts.query or parts.fragment:
        raise InsecureUrl(f"base_url {url!r} is not an address like https://api.m3ter.com")
    if parts.scheme == "http" and not _is_loopback(host or ""):
        raise InsecureUrl(
            f"base_url {url!r} would send the credentials unencrypted: use https:// "
            "(http:// is accepted for this machine alone: localhost, 127.0.0.1, ::1)"
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# The first that fits says what failed; the advice is for when it stays so.
_CHECK_ADDRESS = "Check base_url and the network (name service, firewall, HTTPS_PROXY)"
_FAILURES: tuple[tuple[type[BaseException], str, str | None], ...] = (
    (
        ssl.SSLCertVerificationError,
        "its certificate is not trusted",
        "Check base_url; if a proxy opens TLS, name its certificates in REQUESTS_CA_BUNDLE",
    ),
    (ProxyError, "the proxy did not let us through", "Check HTTPS_PROXY and NO_PROXY"),
    (socket.gaierror, "the host cannot be found", _CHECK_ADDRESS),
    (ConnectTimeout, "no connection in time", _CHECK_ADDRESS),
    (ConnectionRefusedError, "it refuses the connection", _CHECK_ADDRESS),
    (NewConnectionError, "no connection", _CHECK_ADDRESS),
    (
        ssl.SSLError,
        "TLS failed",
        "Check base_url, and that REQUESTS_CA_BUNDLE, if set, names a file of certificates",
    ),
    (ReadTimeoutError, "no answer in time", None),
    (DecodeError, "the answer cannot be decompressed", None),
    (ConnectionResetError, "the connection was cut", None),
    (RemoteDisconnected, "the connection was cut", None),
    (IncompleteRead, "the answer was cut off", None),
    (TimeoutError, "no answer in time", None),
    (
        BaseException,
        "the connection failed",
        "Check base_url, the network, and that REQUESTS_CA_BUNDLE, if set, names a file",
    ),
)


_NO_FILES = (errno.EMFILE, errno.ENFILE)


def _describe(error: BaseException, url: str) -> Transient:
    """Say what failed in our own words: the library's may name a proxy together with its login."""
    host = urlsplit(url).netloc
    causes = list(_causes(error))
    if any(isinstance(cause, OSError) and cause.errno in _NO_FILES for cause in causes):
        return Transient(
            "too many files are open here", advice="Raise the limit (ulimit -n), or lower threads"
        )
    what, advice = next(
        (what, advice)
        for kind, what, advice in _FAILURES
        if any(isinstance(cause, kind) for cause in causes)
    )
    if advice is None:
        return Transient(f"{host}: {what}")
    return Transient(f"{host}: {what}", advice=advice, suspects_address=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
