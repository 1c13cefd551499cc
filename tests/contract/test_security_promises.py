"""`docs/security.md` promises nothing that no test proves."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PINS = ("build.txt", "runtime.txt", "dev.txt")


def test_every_promise_names_tests_that_are_there() -> None:
    rows = re.findall(r"^\| (?!promise |---)(.+) \| (.+) \|$", GUIDE, re.MULTILINE)
    assert len(rows) > 30
    tests = set[str]()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tests.update(
            re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        )
    for promise, proofs in rows:
        names = re.findall(r"`(test_\w+)`", proofs)
        assert names, f"no test proves: {promise}"
        missing = set(names) - tests
        assert not missing, f"{promise}: there is no {', '.join(missing)}"


def test_every_pin_has_its_hash() -> None:
    for name in PINS:
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        pins = [line for line in text.splitlines() if re.match(r"[\w-]+(\[[\w,-]+\])?==", line)]
        assert len(pins) > 1
        assert not [pin for pin in pins if not pin.endswith("\\")], name
        assert not re.search(r"https?://", text.replace("#", "")), name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert makefile.count("install --require-hashes -r") == 2
