"""docs/reliability.md has a row for each fault that the tests in tests/faults declare and prove."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BLOCK = re.compile(r"(<!-- generated: faults_(\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def read_faults(module: str) -> list[Any]:
    """What the tests of a module in tests/faults declare."""
    sys.path.insert(0, str(ROOT))
    try:
        declared = importlib.import_module("tests.faults.rows").declared_faults
        return list(declared(importlib.import_module(f"tests.faults.{module}")))
    finally:
        sys.path.remove(str(ROOT))


def render_faults(module: str) -> str:
    rows = [
        "| what goes wrong | the user sees | exit code | the warehouse holds | the next sync |",
        "|---|---|---|---|---|",
    ]
    for fault in read_faults(module):
        sees = f"`{fault.sees}`" if fault.sees.strip("…") else fault.sees or "no error"
        code = "not 0" if fault.exit_code < 0 else fault.exit_code
        rows.append(f"| {fault.what} | {sees} | {code} | {fault.holds} | {fault.after} |")
    return "\n".join(rows)


def render(text: str) -> str:
    return BLOCK.sub(lambda found: found[1] + render_faults(f"test_{found[2]}") + found[3], text)


def test_the_table_has_every_fault_as_its_test_declares_it() -> None:
    text = PAGE.read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "tests" / "faults").glob("test_*.py")}
    assert {f"test_{found[2]}" for found in BLOCK.finditer(text)} == {
        module for module in modules if read_faults(module)
    }
    assert render(text) == text, "run `make docs`"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit()
