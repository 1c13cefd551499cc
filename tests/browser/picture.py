"""Takes the README's pictures of the report on the demo's world: `make pictures`."""

import re
import struct
import sys
import tempfile
import zlib
from pathlib import Path

from playwright.sync_api import Browser
from tests.browser.conftest import Visit, open_browser, run_demo

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
WIDTH = 1100
_MARGIN = 16
_KEYWORD = b"Description"


def take_pictures(browser: Browser, report: Path, folder: Path) -> list[Path]:
    """What is on fire, and the failure rates, as a reader sees them, light and dark."""
    taken = []
    for scheme in ("light", "dark"):
        context = browser.new_context(
            viewport={"width": WIDTH, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page = Visit(context, report).page
        # It stays at the top while one scrolls, and would lie across what is below.
        page.add_style_tag(content="nav { position: static !important }")
        for name, first, last, said in (
            ("fire", "body", "#fire .tiles", ".top h1, #fire h2, #fire .answer, #fire .tiles"),
            ("rates", "#rates", ".figures", "#rates h2, #rates .answer, #rates .figures"),
        ):
            top = page.locator(first).evaluate("each => each.getBoundingClientRect().top")
            end = page.locator(last).first.evaluate("each => each.getBoundingClientRect().bottom")
            clip = {"x": 0, "y": top, "width": WIDTH, "height": end - top + _MARGIN}
            target = folder / f"report-{name}-{scheme}.png"
            page.screenshot(path=target, full_page=True, clip=clip)
            words = page.locator(said).all_inner_texts()
            charts = page.locator(f"{first} .chart").evaluate_all(
                "all => all.map(each => each.getAttribute('aria-label'))"
            )
            _keep_words(target, [*words, *(charts if name == "rates" else [])])
            taken.append(target)
        context.close()
    return taken


def _keep_words(picture: Path, words: list[str]) -> None:
    """Writes into a picture what can be read on it, but for dates: a chunk before its end."""
    said = re.sub(r"\d{4}-\d\d-\d\d", "<date>", re.sub(r"\s+", " ", " ".join(words)))
    chunk = b"iTXt" + _KEYWORD + b"\0\0\0\0\0" + said.encode()
    end = picture.read_bytes()[:-12], picture.read_bytes()[-12:]
    length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    picture.write_bytes(end[0] + length + chunk + check + end[1])


def read_words(picture: Path) -> str:
    """What can be read on a picture, as it was when it was taken; nothing where it is not kept."""
    start, _, rest = picture.read_bytes().rpartition(b"iTXt" + _KEYWORD + b"\0\0\0\0\0")
    (length,) = struct.unpack(">I", start[-4:]) if start else (0,)
    return rest[: length - len(_KEYWORD) - 5].decode() if start else ""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as demo, open_browser() as running:
        run_demo(Path(demo))
        FOLDER.mkdir(exist_ok=True)
        for picture in take_pictures(running, Path(demo) / "published" / "report.html", FOLDER):
            sys.stdout.write(f"{picture.relative_to(FOLDER.parents[1])}\n")
