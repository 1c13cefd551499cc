"""`m3ter-sync doctor`: what is wrong, and what to do."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from m3ter_sync.cli.errors import ExitCode
from m3ter_sync.cli.options import database_option, destination_option, json_option
from m3ter_sync.cli.output import to_json, to_text
from m3ter_sync.cli.program import Command

if TYPE_CHECKING:
    from m3ter_sync.doctor import Finding

_COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command(cls=Command)
@database_option
@destination_option
@json_option
def doctor(database: Path | None, destination: str | None, as_json: bool) -> None:
    """Check configuration, credentials, permissions, clock, answers and warehouse.

    It sends about ten requests and writes nothing; it also works before the first sync, without
    credentials, and while a sync runs. Exit code 2: a setting, credential or permission is
    wrong; 1: another problem; 0: none.
    """
    from m3ter_sync.doctor import Examination
    from m3ter_sync.warehouse.location import Location

    examination = Examination(Location.of(database, destination))
    findings: list[Finding] = []
    for finding in examination.run():
        findings.append(finding)
        if not as_json:
            _print(finding)
    exit_code = _find_exit_code(findings)
    counts = Counter(finding.level for finding in findings)
    if as_json:
        report = {
            "findings": [finding.to_dict() for finding in findings],
            "problem_count": counts["problem"],
            "warning_count": counts["warning"],
            "request_count": examination.request_count,
            "exit_code": exit_code,
        }
        click.echo(to_json(report))
    else:
        click.echo(
            f"\n{_count(counts['problem'], 'problem')}, {_count(counts['warning'], 'warning')}; "
            f"{_count(examination.request_count, 'request')} sent."
        )
    if exit_code:
        raise Exit(exit_code)


def _print(finding: "Finding") -> None:
    text = to_text(finding.found)
    if finding.advice:
        text += f"{'' if text.endswith('.') else '.'} {to_text(finding.advice)}"
    level = click.style(f"{finding.level:<7}", fg=_COLORS[finding.level])
    click.echo(f"{level}  {finding.check}: {text}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _find_exit_code(findings: list["Finding"]) -> ExitCode:
    problems = [finding for finding in findings if finding.level == "problem"]
    if any(finding.is_configuration for finding in problems):
        return ExitCode.USAGE
    return ExitCode.FAILED if problems else ExitCode.DONE
