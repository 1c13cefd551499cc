"""`m3ter-sync report`, as a person types it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from m3ter_sync.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, "report", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_writes_the_page_beside_the_published_copy(
    published: Callable[..., Any], tmp_path: Path
) -> None:
    page = published().with_name("report.html")
    done = run("--database", str(tmp_path / "warehouse.duckdb"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Wrote {page} (")
    assert page.stat().st_size > 1_000_000


def test_it_opens_the_page_in_the_browser(published: Callable[..., Any], tmp_path: Path) -> None:
    page = published().with_name("report.html")
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    done = run("--open", "--database", str(tmp_path / "warehouse.duckdb"), BROWSER=f"{browser} %s")
    assert done.returncode == 0
    assert opened.read_text().strip() == page.as_uri()


def test_without_a_published_copy_it_ends_with_one_line(tmp_path: Path) -> None:
    done = run("--database", str(tmp_path / "warehouse.duckdb"))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"Error: Nothing is published at {tmp_path}/published/m3ter.duckdb. "
        "Run m3ter-sync sync or m3ter-sync publish first."
    ]
