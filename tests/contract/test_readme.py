"""The README's lists of commands and settings are generated; `make docs` writes them anew."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
from dlt.common.configuration.specs import BaseConfiguration

from m3ter_sync import settings
from m3ter_sync.cli import main
from m3ter_sync.warehouse.sql_files import read_models

README = Path(__file__).resolve().parents[2] / "README.md"
# Said once, above the table.
OF_EVERY_COMMAND = ("verbose", "quiet", "log_format")
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def walk(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from walk(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def render_commands() -> str:
    rows = ["| command | does | options |", "|---|---|---|"]
    for name, command in walk(main):
        options = ", ".join(
            f"`{each.opts[0]}`"
            for each in command.params
            if each.param_type_name == "option" and each.name not in OF_EVERY_COMMAND
        )
        does = command.get_short_help_str(200).rstrip(".")
        rows.append(f"| `m3ter-sync {name}` | {does} | {options} |")
    return "\n".join(rows)


def render_settings() -> str:
    rows = ["| setting | default | means |", "|---|---|---|"]
    rows += render_spec(settings.Settings)
    (model,) = (model for model in read_models() if model.name == "settings")
    numbers = dict(re.findall(r"'(\w+)'\].*? as [\w\[\]]+\), ([^)]*|\[.*?\])\) as", model.select))
    rows += [
        f"| `{column.name}` | {numbers[column.name]} | {column.comment} |"
        for column in model.columns
    ]
    rows += render_spec(settings.AlertSettings)
    return "\n".join(rows)


def render_spec(spec: type[BaseConfiguration]) -> list[str]:
    explained: dict[str, str] = {}
    tree = ast.parse(inspect.getsource(spec)).body[0]
    assert isinstance(tree, ast.ClassDef)
    for one, next_one in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(one, ast.AnnAssign) and isinstance(next_one, ast.Expr):
            assert isinstance(one.target, ast.Name)
            explained[one.target.id] = ast.literal_eval(next_one.value)
    defaults = {each.name: each.default for each in fields(spec)}
    rows = []
    for name, meaning in explained.items():
        default = defaults[name] if isinstance(defaults[name], str) else f"{defaults[name]:g}"
        rows.append(f"| `{name}` | {default} | {meaning} |")
    return rows


def render(text: str) -> str:
    made = {"commands": render_commands, "settings": render_settings}
    return BLOCK.sub(lambda found: found[1] + made[found[2]]() + found[3], text)


def test_the_readme_lists_every_command_and_setting_as_they_are() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == 2
    assert render(text) == text, "run `make docs`"


if __name__ == "__main__":
    README.write_text(render(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit()
