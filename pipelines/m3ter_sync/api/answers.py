"""Reads an answer: its JSON, or what an error says, without repeating a secret."""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import orjson

from m3ter_sync.api.connection import Answer
from m3ter_sync.api.retry import Transient
from m3ter_sync.api.tokens import Token

_LONGEST_EXCERPT = 200
# Shorter ones are parts of words: hiding them hides the message.
_SHORTEST_SECRET = 4
_MESSAGE_KEYS = ("message", "error_description", "error")
# m3ter documents expires_in; where it is missing, a refused token costs one request more.
_LIFETIME_IF_UNSAID = 3600.0


def parse_json(answer: Answer) -> Any:
    """Return the body's content.

    Raises:
        Transient: It is not JSON: a proxy's page, or cut off.
    """
    for load in (orjson.loads, _parse_broken_text):
        try:
            return load(answer.body)
        except (ValueError, RecursionError):
            continue
    raise Transient(
        f"m3ter answered {answer.status} with something that is not JSON",
        advice="Check base_url, and any proxy on the way",
        suspects_address=True,
    )


def _parse_broken_text(body: bytes) -> Any:
    """Read JSON with halves of characters in it, which a text that was cut to a length may hold.

    Raises:
        ValueError: It is not even that.
    """
    text = json.dumps(json.loads(body), ensure_ascii=False)
    return orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def parse_token(answer: Answer) -> Token | None:
    """Return the token of an answer of `/oauth/token`; None if there is none to be used."""
    content = parse_json(answer)
    if not isinstance(content, dict):
        return None
    value = content.get("access_token")
    lifetime = content.get("expires_in", _LIFETIME_IF_UNSAID)
    # What goes into a header must be one printable word.
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        return None
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or lifetime <= 0:
        lifetime = _LIFETIME_IF_UNSAID
    return Token(value, float(lifetime))


def describe_refusal(answer: Answer, secrets: Iterable[str]) -> str:
    """Say in one short line what an error answer says: `404 "no such bill"`.

    Args:
        answer: m3ter's JSON, or any page of a proxy.
        secrets: What must not be shown even when the server repeats it.
    """
    forms = {form for one in secrets for form in (one, quote(one, safe=""))}
    hidden = "|".join(re.escape(form) for form in forms if len(form) >= _SHORTEST_SECRET)
    text = _message(answer.body)
    text = re.sub(rf"(?i:\b(?:bearer|basic)\s+)\S{{16,}}|{hidden or '(?!)'}", "[hidden]", text)
    text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split())
    if len(text) > _LONGEST_EXCERPT:
        text = text[: _LONGEST_EXCERPT - 1] + "…"
    return f'{answer.status} "{text}"' if text else str(answer.status)


def _message(body: bytes) -> str:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return re.sub(r"<[^<>]*>", " ", body.decode("utf-8", "replace"))
    if isinstance(content, dict):
        for key in _MESSAGE_KEYS:
            if isinstance(content.get(key), str):
                return str(content[key])
    return body.decode("utf-8", "replace")
