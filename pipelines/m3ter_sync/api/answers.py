"""Reads an answer: its JSON, or what an error says, without repeating a secret."""

import html
import json
import math
import re
from collections.abc import Iterable
from typing import Any

import orjson

from m3ter_sync.api.connection import Answer
from m3ter_sync.api.retry import Transient
from m3ter_sync.api.tokens import Token
from m3ter_sync.redaction import HIDDEN, spell_secret

_LONGEST_EXCERPT = 200
# Shorter ones are parts of words: hiding them hides the message.
_SHORTEST_SECRET = 4
_MESSAGE_KEYS = ("message", "error_description", "error")
# m3ter documents expires_in; where it is missing, a refused token costs one request more.
_LIFETIME_IF_UNSAID = 3600.0


def parse_json(answer: Answer) -> Any:
    """Return the body's content.

    Raises:
        Transient: It is not JSON: a proxy's page, or cut off; or nested without end.
    """
    for load in (orjson.loads, _parse_broken_text):
        try:
            return load(answer.body)
        except RecursionError:
            raise Transient(
                f"m3ter answered {answer.status} with JSON that is nested too deeply to be read",
                advice="Check base_url; if it is right, report it to m3ter",
            ) from None
        except ValueError:
            continue
    raise Transient(
        f"m3ter answered {answer.status} with something that is not JSON",
        advice="Check base_url, and any proxy on the way",
        suspects_address=True,
    )


def _parse_broken_text(body: bytes) -> Any:
    """Read JSON that orjson does not, so that one value never keeps a page from being read.

    A text that was cut to a length may end in half a character: that is replaced. A number that no
    double holds is taken as a text, which its column then refuses with its row.

    Raises:
        ValueError: It is not even that.
        RecursionError: It is nested too deeply.
    """
    content = json.loads(body, parse_float=_read_number, parse_int=_read_number)
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    try:
        return orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except orjson.JSONDecodeError:  # which nothing but its depth can be the reason for now
        raise RecursionError from None


def _read_number(text: str) -> float | int | str:
    number = float(text)
    if not math.isfinite(number):
        return text
    return number if re.search("[.eE]", text) else int(text)


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
    hidden = _build_pattern(secrets)
    text = hidden.sub(HIDDEN, _message(answer.body))
    text = "".join(char if char.isprintable() else " " for char in text)
    # Once more: what stood between its parts has gone.
    text = hidden.sub(HIDDEN, " ".join(text.split()))
    if len(text) > _LONGEST_EXCERPT:
        text = text[: _LONGEST_EXCERPT - 1] + "…"
    return f'{answer.status} "{text}"' if text else str(answer.status)


def _build_pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    """What finds secrets, however they are spelled, and any token."""
    spelled = {form for secret in secrets for form in spell_secret(secret)}
    # The longest first: a part that is a secret too would leave the rest of it.
    forms = sorted((form for form in spelled if len(form) >= _SHORTEST_SECRET), key=len)
    secret = "|".join(map(re.escape, reversed(forms))) or "(?!)"
    return re.compile(rf"(?i:\b(?:bearer|basic)\s+)\S{{16,}}|{secret}")


def _message(body: bytes) -> str:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return html.unescape(re.sub(r"<[^<>]*>", " ", body.decode("utf-8", "replace")))
    if isinstance(content, dict):
        for key in _MESSAGE_KEYS:
            if isinstance(content.get(key), str):
                return str(content[key])
    try:
        # Written anew: a server may spell any character as \\u0068.
        return orjson.dumps(content).decode()
    except TypeError:  # nested too deeply
        return ""
