"""docs/reliability.md has a row for each fault that the tests in tests/faults declare and prove."""

import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BLOCK = re.compile(r"(<!-- generated: (faults_\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def render_faults(name: str) -> str:
    rows = [
        "| what goes wrong | the user sees | exit code | the warehouse holds | the next sync |",
        "|---|---|---|---|---|",
    ]
    declared = importlib.import_module("tests.faults.rows").declared_faults
    for fault in declared(importlib.import_module(f"tests.faults.test_{name}")):
        sees = f"`{fault.sees}`" if fault.sees.strip("…") else fault.sees or "no error"
        code = "not 0" if fault.exit_code < 0 else fault.exit_code
        rows.append(f"| {fault.what} | {sees} | {code} | {fault.holds} | {fault.after} |")
    return "\n".join(rows)


def render(text: str) -> str:
    def fill(found: re.Match[str]) -> str:
        return found[1] + render_faults(found[2].removeprefix("faults_")) + found[3]

    sys.path.insert(0, str(ROOT))
    try:
        return BLOCK.sub(fill, text)
    finally:
        sys.path.remove(str(ROOT))


def test_the_table_has_every_fault_as_its_test_declares_it() -> None:
    text = PAGE.read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "tests" / "faults").glob("test_*.py")}
    named = {found[1].replace("faults_", "test_") for found in BLOCK.findall(text)}
    assert named == modules & {"test_network", "test_m3ter", "test_machine"}
    assert render(text) == text, "run `make docs`"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit()
