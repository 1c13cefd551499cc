"""One request to m3ter: paced, authorized, repeated until it is answered, and judged."""

import base64
import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from m3ter_sync.api.answers import describe_refusal, parse_json, parse_token
from m3ter_sync.api.clock import Clock
from m3ter_sync.api.connection import LARGEST_ANSWER, Answer, Connection, check_base_url
from m3ter_sync.api.errors import (
    AccessRefused,
    CredentialsRefused,
    EntityNotFound,
    M3terError,
    RequestRefused,
    TooLarge,
    UnexpectedAnswer,
)
from m3ter_sync.api.observation import Observation
from m3ter_sync.api.rate import RequestRate
from m3ter_sync.api.retry import Call, Retries, Transient, parse_retry_after
from m3ter_sync.api.statistics import RequestStatistics
from m3ter_sync.api.tokens import Token, TokenProvider
from m3ter_sync.redaction import register_secret

logger = logging.getLogger(__name__)

DEFAULT_BASE_URL = "https://api.m3ter.com"
# Half of what m3ter allows an organization, whose own production traffic shares it.
DEFAULT_REQUESTS_PER_SECOND = 25.0

Params = Sequence[tuple[str, str | int]]

_TOO_EARLY_OR_TOO_SLOW = (408, 425)


class M3terClient:
    """Asks one m3ter organization; safe for many threads, which share rate, token, connections.

    Args:
        org_id: The organization's id.
        access_key_id: Of a service user, with permission to read what is asked.
        api_secret: Belongs to the access key.
        base_url: https, or http on loopback.
        requests_per_second: Of all threads together. The organization may send 50, which its own
            production traffic shares.
        connections: As many as threads will ask at once.
        timeout: Seconds that the server may be silent, also before a connection stands (10 at
            most); an answer as a whole may take twice as long.
        max_attempts: Times that one request is sent at most.
        max_retry_seconds: After which it is not repeated again.
        clock: Tests pass their own.
        on_answer: Is shown every answer, from whatever thread received it.

    Raises:
        InsecureUrl: The base URL is not fit for credentials.
    """

    def __init__(
        self,
        *,
        org_id: str,
        access_key_id: str,
        api_secret: str,
        base_url: str = DEFAULT_BASE_URL,
        requests_per_second: float = DEFAULT_REQUESTS_PER_SECOND,
        connections: int = 16,
        timeout: float = 60.0,
        max_attempts: int = 10,
        max_retry_seconds: float = 600.0,
        clock: Clock | None = None,
        on_answer: Callable[[Observation], None] | None = None,
    ) -> None:
        self._base_url = check_base_url(base_url)
        self._org_id = org_id
        self._organization_url = f"{self._base_url}/organizations/{quote(org_id, safe='')}/"
        self._api_secret = api_secret
        login = f"{access_key_id}:{api_secret}".encode()
        self._basic = base64.b64encode(login).decode("ascii")
        for secret in (access_key_id, api_secret, self._basic):
            register_secret(secret)
        self.clock = clock or Clock()
        self._on_answer = on_answer
        self._renews_refused_token = max_attempts > 1
        self._rate = RequestRate(requests_per_second, self.clock)
        self._connection = Connection(self._base_url, connections=connections, timeout=timeout)
        self.statistics = RequestStatistics()
        self._retries = Retries(
            self.clock,
            max_attempts=max_attempts,
            max_seconds=max_retry_seconds,
            on_retry=lambda seconds: self.statistics.count(retries=1, seconds=seconds),
        )
        self._tokens = TokenProvider(self._fetch_token, self.clock)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"m3ter-sync/{version('m3ter-sync')}",
        }

    def __repr__(self) -> str:
        return f"M3terClient({self._base_url!r}, org_id={self._org_id!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def stop(self) -> None:
        """Make all threads that wait here raise `Stopped`, now and from now on."""
        self.clock.stop()

    def close(self) -> None:
        """Stop, and close the connections."""
        self.stop()
        self._connection.close()

    def authenticate(self) -> None:
        """Fetch a token now, so that wrong credentials are told before any work begins.

        Raises:
            CredentialsRefused: No token for these credentials.
            ServiceUnavailable: m3ter could not be reached.
            Stopped: `stop` was called.
        """
        self._tokens.current()

    def reach(self) -> None:
        """Ask the base URL itself, without credentials; any answer will do.

        Raises:
            ServiceUnavailable: m3ter could not be reached, or is down.
            Stopped: `stop` was called.
        """
        call = Call("GET", f"{self._base_url}/", "GET /", "/")
        self._retries.run(lambda call: self._send(call, None), call)

    def fetch(
        self,
        path: str,
        params: Params = (),
        *,
        endpoint: str | None = None,
        entity: str | None = None,
    ) -> Any:
        """Return the JSON of one GET, parsed.

        Args:
            path: Below `/organizations/{orgId}/`, its segments quoted.
            params: Query parameters in order; names may repeat.
            endpoint: What the statistics call it: the path with names in the place of ids. May
                be left out where there are none.
            entity: Whose data this is, such as `Bill 7d…`: a 404 then means that it is gone.

        Raises:
            CredentialsRefused: No token for these credentials.
            AccessRefused: 401 or 403, also with a new token.
            EntityNotFound: 404 to a request with an entity.
            TooLarge: 413, or a larger answer than is read.
            RequestRefused: Another 4xx.
            UnexpectedAnswer: A redirect.
            ServiceUnavailable: No proper answer, however often it was asked.
            Stopped: `stop` was called.
        """
        url = self._organization_url + path
        if params:
            url += "?" + urlencode(params)
        call = Call("GET", url, f"GET {path}", endpoint or path)
        return self._retries.run(lambda call: self._ask(call, entity), call)

    def _ask(self, call: Call, entity: str | None) -> Any:
        token = self._tokens.current()
        answer = self._send(call, f"Bearer {token}")
        if answer.status in (401, 403) and self._renews_refused_token:
            # m3ter answers an expired token with 403, just like a missing permission.
            token = self._tokens.renew(token)
            answer = self._send(call, f"Bearer {token}")
        if answer.is_too_large and answer.status < 300:
            # What m3ter says when it finds that itself.
            raise TooLarge(
                f"{call.label}: m3ter's answer is larger than {LARGEST_ANSWER // 1024**2} MiB, and "
                "is not read any further. Ask with a smaller page size.",
                413,
            )
        if 200 <= answer.status < 300:
            return parse_json(answer)
        what = f"{call.label}: m3ter answered {self._describe(answer, token)}"
        raise self._refusal(answer.status, what, entity)

    def _refusal(self, status: int, what: str, entity: str | None) -> M3terError:
        if status in (401, 403):
            return AccessRefused(
                f"{what}, also to a new token. Check that org_id {self._org_id} is the "
                "organization of this access key, and that its permissions allow to read this."
            )
        if status == 404 and entity is not None:
            return EntityNotFound(f"{what}. {entity} does not exist (any more): check its id.")
        if status == 413:
            return TooLarge(f"{what}. Ask with a smaller page size.", status)
        if 400 <= status < 500:
            return RequestRefused(f"{what}. Check base_url and the values that were given.", status)
        return UnexpectedAnswer(f"{what}, a redirect, which is not followed. Check base_url.")

    def _fetch_token(self) -> Token:
        url = f"{self._base_url}/oauth/token"
        call = Call("POST", url, "POST /oauth/token", "oauth/token")
        return self._retries.run(self._ask_token, call)

    def _ask_token(self, call: Call) -> Token:
        answer = self._send(call, f"Basic {self._basic}", b"grant_type=client_credentials")
        if 200 <= answer.status < 300:
            token = parse_token(answer)
            if token is None:
                raise UnexpectedAnswer(
                    f"{call.label}: the answer holds no usable access_token. Check base_url."
                )
            register_secret(token.value, is_passing=True)
            return token
        what = f"{call.label}: m3ter answered {self._describe(answer)}"
        if answer.status in (400, 401, 403):
            raise CredentialsRefused(
                f"{what}. Check access_key_id and api_secret (M3TER_API_KEY, M3TER_API_SECRET)."
            )
        raise self._refusal(answer.status, what, None)

    def _send(self, call: Call, authorization: str | None, form: bytes | None = None) -> Answer:
        """Send once, in its turn.

        Raises:
            Transient: It failed in a way that may pass.
        """
        headers = dict(self._headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Content-Length"] = str(len(form))
        self._rate.wait_turn()
        sent_at = self.clock.now()
        call.first_sent_at = min(call.first_sent_at, sent_at)
        call.times_sent += 1
        self.statistics.count(requests=1)
        outcome = "failed"
        sent_at_wall = self.clock.wall()
        try:
            answer = self._connection.send(call.method, call.url, headers, form)
            outcome = str(answer.status)
        finally:
            seconds = self.clock.now() - sent_at
            self.statistics.record(call.endpoint, seconds)
            if logger.isEnabledFor(logging.DEBUG):
                self._log_request(call, outcome, 1000 * seconds)
        if self._on_answer:
            received_at = self.clock.wall()
            self._on_answer(Observation(answer.status, answer.headers, sent_at_wall, received_at))
        if answer.status == 429 or answer.status >= 500 or answer.status in _TOO_EARLY_OR_TOO_SLOW:
            raise self._transient(answer, authorization or "")
        return answer

    def _log_request(self, call: Call, outcome: str, milliseconds: float) -> None:
        """Log a request without its query, which may hold what people would keep to themselves."""
        fields = {
            "method": call.method,
            "path": call.label.partition(" ")[2],
            "status": outcome,
            "ms": round(milliseconds, 1),
            "attempt": call.times_sent,
        }
        logger.debug(
            "%(method)s %(path)s: %(status)s in %(ms).1f ms, attempt %(attempt)d",
            fields,
            extra=fields,
        )

    def _transient(self, answer: Answer, authorization: str) -> Transient:
        retry_after = parse_retry_after(answer.headers, self.clock.wall())
        what = f"m3ter answered {self._describe(answer, authorization.partition(' ')[2])}"
        if answer.status != 429:
            return Transient(what, wait_at_least=retry_after or 0.0)
        self.statistics.count(throttled=1)
        return Transient(
            f"{what}, too many requests",
            advice="Lower requests_per_second, or sync when the organization sends less",
            wait_at_least=self._rate.slow_down(retry_after),
        )

    def _describe(self, answer: Answer, *tokens: str) -> str:
        return describe_refusal(answer, (self._api_secret, self._basic, *tokens))
