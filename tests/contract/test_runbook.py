"""The runbook has an entry for each exit code, each error that users meet, and says it as it is."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import click

import m3ter_sync
from m3ter_sync.cli import main
from m3ter_sync.cli.errors import ExitCode, find_exit_code

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^#{2,3} (.+)$", RUNBOOK, re.MULTILINE)
# Said by the system, by Python, or by DuckDB.
FOREIGN = {"No space left on device", "No usable temporary directory found"}


def find_errors() -> set[str]:
    """The names of the package's errors that end a command with an exit code of their own."""
    for module in pkgutil.walk_packages(m3ter_sync.__path__, "m3ter_sync."):
        if not module.name.startswith("m3ter_sync.sandbox"):
            importlib.import_module(module.name)

    def walk(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(walk(each) for each in kind.__subclasses__()))

    return {
        kind.__name__
        for kind in walk(Exception)
        if kind.__module__.startswith("m3ter_sync.")
        # Those that others derive from and nobody raises have the entries of their children.
        and kind.__name__ != "M3terError"
        and not issubclass(kind, click.ClickException)
        and find_exit_code(kind.__new__(kind)) is not None
    }


def read_texts() -> str:
    """Every text that stands in the package, with an ellipsis where a value is put in."""
    texts = []
    for path in (ROOT / "pipelines/m3ter_sync").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                ]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_each_exit_code_has_an_entry() -> None:
    described = {
        int(code)
        for heading in HEADINGS
        if heading.startswith("Exit code")
        for code in re.findall(r"\d+", heading)
    }
    assert described == {*ExitCode, 130, 143}


def test_each_error_that_users_meet_has_an_entry() -> None:
    described = re.findall(r"^### .*\n<!-- errors: (\w+) -->$", RUNBOOK, re.MULTILINE)
    assert find_errors() == set(described)


def test_each_message_that_heads_an_entry_is_one_that_the_program_says() -> None:
    texts = read_texts()
    quoted = {quote for heading in HEADINGS for quote in re.findall(r"`([^`]+)`", heading)}
    assert len(quoted) > 20
    assert {quote for quote in quoted - FOREIGN if quote not in texts} == set()


def test_each_link_within_the_documentation_leads_somewhere() -> None:
    for page in ("runbook.md", "scheduling.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            found = ROOT / "docs" / (path or page)
            assert found.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
                anchors = {
                    re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings
                }
                assert anchor in anchors, target


def test_each_command_that_is_shown_is_one_of_ours() -> None:
    shown = set(re.findall(r"(?:^|`)m3ter-sync ([a-z]+)", RUNBOOK, re.MULTILINE))
    assert {"sync", "verify", "publish"} <= shown <= set(main.commands)
