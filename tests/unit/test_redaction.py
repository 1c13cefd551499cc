"""What was registered as a secret is hidden in whatever form it turns up."""

import json
import re
from collections import deque
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from m3ter_sync import redaction
from m3ter_sync.redaction import HIDDEN, redact, register_secret

SECRET = 'p"a\\s/s wörd+1'


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without a secret."""
    monkeypatch.setattr(redaction, "_lasting", {})
    monkeypatch.setattr(redaction, "_passing", deque(maxlen=redaction._passing.maxlen))
    monkeypatch.setattr(redaction, "_pattern", re.compile(redaction._LOOKS_LIKE_ONE))


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps([SECRET], ensure_ascii=False),
        repr(SECRET),
        str({"a": SECRET}),
        f"https://x/?k={SECRET}",
    ],
)
def test_a_secret_is_hidden_in_every_form(form: str) -> None:
    assert redact(form) == form
    register_secret(SECRET)
    assert "wörd" not in redact(form)
    assert "w%C3%B6rd" not in redact(form)
    assert HIDDEN in redact(form)


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    register_secret("abcdef")
    register_secret("abcdef-and-more")
    assert redact("it is abcdef-and-more.") == f"it is {HIDDEN}."


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer eyJhbGciOi.x-y_z==", f"Authorization: Bearer {HIDDEN}"),
        ("{'Authorization': 'Basic a2V5OnNlY3JldDEyMw=='}", "{'Authorization': 'Basic [hidden]'}"),
        ("postgresql://me:hunter2@db:5432/x", f"postgresql://{HIDDEN}@db:5432/x"),
        ("see https://docs.m3ter.com/a@b and me@x.org", None),
        ("the bearer of bad news, basic understanding", None),
    ],
)
def test_what_looks_like_a_credential_is_hidden_though_nobody_registered_it(
    text: str, hidden: str | None
) -> None:
    assert redact(text) == (hidden or text)


def test_a_short_word_hides_nothing() -> None:
    register_secret("")
    register_secret("sync")
    assert redact("the sync failed") == "the sync failed"


def test_of_the_tokens_that_follow_one_another_only_the_newest_are_kept() -> None:
    register_secret("the-lasting-one")
    for number in range(1000):
        register_secret(f"token-{number:04}", is_passing=True)
    assert len(redaction._passing) == 32
    assert redact("token-0999 the-lasting-one") == f"{HIDDEN} {HIDDEN}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(min_size=6, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_a_line_of_json_stays_one_and_gives_away_nothing(
    secret: str, before: str, after: str
) -> None:
    line = json.dumps({"message": before + secret + after, "level": "INFO"})
    # One that looks like JSON's own marks cannot be told from them.
    assume(json.dumps(secret)[1:-1] not in '{"message": "", "level": "INFO"}')
    register_secret(secret)
    assert secret not in json.loads(redact(line))["message"] or secret in HIDDEN
