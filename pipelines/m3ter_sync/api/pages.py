"""A listing, page by page."""

import logging
from collections.abc import Iterator
from typing import Any

from m3ter_sync.api.client import M3terClient, Params
from m3ter_sync.api.errors import TooLarge, UnexpectedAnswer

logger = logging.getLogger(__name__)

Row = dict[str, Any]

# Pages may be empty and still carry a token; so many in a row that bring nothing new never end.
_FRUITLESS_PAGES = 1000


def fetch_pages(
    client: M3terClient,
    path: str,
    params: Params = (),
    *,
    page_size: int,
    data_key: str = "data",
    endpoint: str | None = None,
    entity: str | None = None,
) -> Iterator[list[Row]]:
    """Yield the rows of each page that holds any, as m3ter sent them, unchecked.

    Ends at a missing, null or empty token. When a page is too large (413, or more than is
    read), the rest of this listing is asked for in pages half as large.

    Raises:
        UnexpectedAnswer: A page is no page, or the listing would never end: a token was seen
            before in it, or page after page brings nothing new.
        TooLarge: A single row is too large to be sent, or read.
    """
    token = ""
    seen: set[str] = set()
    first: Any = None
    fruitless = 0
    while True:
        asked = [*params, ("pageSize", page_size)]
        if token:
            asked.append(("nextToken", token))
        try:
            content = client.fetch(path, asked, endpoint=endpoint, entity=entity)
        except TooLarge as error:
            if page_size == 1:
                raise TooLarge(
                    f"GET {path}: one row alone is too large to be sent or read. Report it to "
                    f"m3ter. ({error})",
                    error.status,
                ) from None
            page_size //= 2
            logger.info("%s: the answer is too large; going on with pageSize %d", path, page_size)
            continue
        rows, token = _parse_page(content, data_key, path)
        before, first = first, _name_first(rows)
        fruitless = fruitless + 1 if first in (None, before) else 0
        if rows:
            yield rows
        if not token:
            return
        if token in seen or fruitless == _FRUITLESS_PAGES:
            what = "the same nextToken twice"
            if token not in seen:
                what = f"{fruitless} pages in a row with nothing new"
            raise UnexpectedAnswer(
                f"GET {path}: m3ter sent {what}, so the listing would never "
                "end. Try again; if it stays so, report it to m3ter."
            )
        seen.add(token)


def _name_first(rows: list[Any]) -> Any:
    """By what to know a page again; None where it is empty."""
    first = rows[0] if rows else None
    return first.get("id") if isinstance(first, dict) else first


def _parse_page(content: Any, data_key: str, path: str) -> tuple[list[Row], str]:
    rows = content.get(data_key) if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise UnexpectedAnswer(
            f"GET {path}: the answer has no list {data_key!r}. Check base_url; if it is right, "
            "m3ter's API has changed."
        )
    token = content.get("nextToken") or ""
    if not isinstance(token, str):
        raise UnexpectedAnswer(f"GET {path}: nextToken is no text. m3ter's API has changed.")
    return rows, token
