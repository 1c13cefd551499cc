"""Takes the README's pictures of the report on the demo's world: `make pictures`."""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser
from tests.browser.conftest import Visit, open_browser

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
WIDTH = 1100
_MARGIN = 16


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
        for name, first, last in (
            ("fire", "body", "#fire .tiles"),
            ("rates", "#rates", ".figures"),
        ):
            top = page.locator(first).evaluate("each => each.getBoundingClientRect().top")
            end = page.locator(last).first.evaluate("each => each.getBoundingClientRect().bottom")
            clip = {"x": 0, "y": top, "width": WIDTH, "height": end - top + _MARGIN}
            target = folder / f"report-{name}-{scheme}.png"
            page.screenshot(path=target, full_page=True, clip=clip)
            taken.append(target)
        context.close()
    return taken


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as demo, open_browser() as running:
        command = [sys.executable, "-c", "from m3ter_sync.cli import main; main()"]
        subprocess.run([*command, "demo", "--folder", demo], check=True, stdout=subprocess.DEVNULL)
        FOLDER.mkdir(exist_ok=True)
        for picture in take_pictures(running, Path(demo) / "published" / "report.html", FOLDER):
            sys.stdout.write(f"{picture.relative_to(FOLDER.parents[1])}\n")
