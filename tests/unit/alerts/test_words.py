"""What others wrote is shown as text, whatever it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_sync.alerts.words import plain

MARKUP = st.text(alphabet="<>@[]()`*_~|!#/:.\\\"'&;\n\r\t\x1b\u202e ahttpw", max_size=400)


@given(st.one_of(st.text(), MARKUP))
def test_nothing_that_a_channel_could_take_for_more_than_text_is_left(text: str) -> None:
    shown = plain(text)
    assert 0 < len(shown) <= 160
    assert not set(shown) & set("<>@[]`*~\n\r\t\x1b\u202e")
    assert "://" not in shown
    assert "||" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("INVALID_KEY_OR_REF: Invalid account 4000 (EUR)", None),
        ("See https://system.netsuite.com/app?id=7&token=s3cret.", "See (link)"),
        ("<!channel> pay <https://evil.example|here>", "\u2039!channel\u203a pay \u2039(link)"),
        ("mail ops@example.com", "mail ops(at)example.com"),
        ("a\n\n\tb", "a b"),
        ("", "(none)"),
        (None, "None"),
        ("x" * 1_000_000, "x" * 159 + "…"),
    ],
)
def test_what_is_harmless_stays_as_it_was(text: str | None, shown: str | None) -> None:
    assert plain(text) == (text if shown is None else shown)
