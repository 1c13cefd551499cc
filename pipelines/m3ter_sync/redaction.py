"""The last line of defence for secrets: what is registered here is hidden in every log and error.

The code that logs and raises leaves secrets out by itself. This catches what it cannot see: a
library's log line, a traceback, a text that a server repeats.
"""

import html
import json
import re
import threading
from collections import deque
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
# Shorter ones are words, and parts of words: hiding them hides the message.
_SHORTEST_SECRET = 6
# Bearer tokens follow one another; what has long been replaced is of no use to anyone.
_PASSING_SECRETS_KEPT = 32
# Hidden whoever registered it: what follows Bearer and Basic, and a login inside a URL. None of
# these reaches beyond a quotation mark, so a line of JSON stays one.
_LOOKS_LIKE_ONE = (
    r"(?P<scheme>\b(?i:bearer|basic)\s+)[\w.~+/-]{16,}=*"
    r"|(?P<slashes>://)[^\s/@\"'\\]+(?=@)"
)

_lock = threading.RLock()
_lasting: dict[str, None] = {}
_passing: deque[str] = deque(maxlen=_PASSING_SECRETS_KEPT)
_pattern = re.compile(_LOOKS_LIKE_ONE)


def register_secret(value: str, *, is_passing: bool = False) -> None:
    """Hides a text from here on, wherever it turns up in this process's logs and errors.

    Args:
        value: One of less than six characters is left alone.
        is_passing: It is replaced before long, as a bearer token is: only the newest are kept.
    """
    global _pattern  # noqa: PLW0603 - read without the lock, also by a signal handler
    if len(value) < _SHORTEST_SECRET:
        return
    with _lock:
        if value in _lasting or value in _passing:
            return
        if is_passing:
            _passing.append(value)
        else:
            _lasting[value] = None
        forms = {form for secret in (*_lasting, *_passing) for form in spell_secret(secret)}
        known = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
        _pattern = re.compile("|".join([*known, _LOOKS_LIKE_ONE]))


def redact(text: str) -> str:
    """The text with `[hidden]` in the place of each secret."""
    return _pattern.sub(lambda found: f"{found['scheme'] or found['slashes'] or ''}{HIDDEN}", text)


def spell_secret(secret: str) -> set[str]:
    """The secret as it is, in a URL, in JSON, in HTML, and in what Python shows of it."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        repr(secret)[1:-1],
    }
