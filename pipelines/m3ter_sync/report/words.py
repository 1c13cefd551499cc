"""Numbers, times and texts as people read them."""

from datetime import UTC, date, datetime
from decimal import Decimal

from markupsafe import escape

NOTHING = "—"
# A destination may answer with a page of HTML; what matters stands at the beginning.
_TEXT_LENGTH = 160

# ISO 4217: the currencies that do not have two decimal places.
_DECIMAL_PLACES = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def say_count(count: int | None, one: str = "", many: str = "") -> str:
    """1,234, or with a noun: 1 bill, 1,234 bills."""
    if count is None:
        return NOTHING
    noun = one if count == 1 else many or f"{one}s"
    return f"{count:,} {noun}" if one else f"{count:,}"


def say_rate(rate: float | None) -> str:
    """0.0664 is 6.6%; what is not quite none or all is not said to be."""
    if rate is None:
        return NOTHING
    if 0 < rate < 0.001:
        return "under 0.1%"
    if 0.999 < rate < 1:
        return "over 99.9%"
    return f"{rate:.1%}"


def say_interval(low: float | None, high: float | None) -> str:
    """5.1% to 8.6%."""
    return NOTHING if low is None or high is None else f"{say_rate(low)} to {say_rate(high)}"


def say_share(part: int | None, whole: int | None) -> str:
    """53 of 798."""
    return NOTHING if part is None or not whole else f"{part:,} of {whole:,}"


def say_money(amount: Decimal | None, currency: str | None) -> str:
    """9,202.18, with as many decimal places as the currency has."""
    if amount is None:
        return "not known"
    return f"{amount:,.{_DECIMAL_PLACES.get(currency or '', 2)}f}"


def say_duration(seconds: float | None) -> str:
    """42 s, 12 min, 3.5 h, 4.2 days."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    for size, unit, limit in ((1, "s", 90), (60, "min", 90), (3600, "h", 48)):
        if seconds / size < limit:
            digits = 1 if size == 3600 and seconds / size < 10 else 0
            return f"{seconds / size:.{digits}f} {unit}".replace(".0 ", " ")
    return f"{seconds / 86400:,.1f} days"


def say_time(moment: datetime | None) -> str:
    """2025-11-03 06:00, in UTC."""
    return NOTHING if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def say_long_time(moment: datetime) -> str:
    """3 November 2025, 06:00 UTC."""
    return f"{say_long_day(moment.astimezone(UTC))}, {moment.astimezone(UTC):%H:%M} UTC"


def say_long_day(day: date) -> str:
    """3 November 2025."""
    return f"{day.day} {day:%B %Y}"


def clip(text: str, length: int = _TEXT_LENGTH) -> str:
    """The beginning of a text, on one line."""
    # Only what can be seen is worth splitting: a text can be megabytes.
    line = " ".join(text[: length * 4].split())
    return cut(line if len(text) <= length * 4 else f"{line}…", length)


def cut(text: str, length: int) -> str:
    """The beginning of a text; it takes as much of the file as twice its length at most."""
    if len(text) <= length and weigh(text) <= 2 * length:
        return text
    start = text[: length - 1]
    while weigh(start) >= 2 * length:
        start = start[: min(len(start) - 1, len(start) * 2 * length // weigh(start))]
    return f"{start}…"


def weigh(text: str) -> int:
    """The bytes that a text takes in the file: a quotation mark takes five."""
    return len(escape(text).encode(errors="replace"))


def join_words(words: list[str], limit: int = 4) -> str:
    """A, B and C; of many: A, B, C and 7 more."""
    if len(words) > limit:
        words = [*words[: limit - 1], f"{len(words) - limit + 1:,} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
