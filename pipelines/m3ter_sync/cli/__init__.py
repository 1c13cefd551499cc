"""The command line. One module a command; what they share is named after what it is for.

    program (errors → exit codes) ─► sync · list · models · check · publish · report · verify
                                     query · status · doctor · alerts · copy · sandbox · demo
    options · output · logs · progress · signals

Nothing heavy is imported until a command runs, so that `--help` answers at once.
"""

import click

from m3ter_sync.cli.alerts import alerts
from m3ter_sync.cli.copy import copy
from m3ter_sync.cli.demo import demo
from m3ter_sync.cli.doctor import doctor
from m3ter_sync.cli.listing import list_
from m3ter_sync.cli.models import check, models, publish
from m3ter_sync.cli.program import Program
from m3ter_sync.cli.query import query
from m3ter_sync.cli.report import report
from m3ter_sync.cli.sandbox import sandbox
from m3ter_sync.cli.status import status
from m3ter_sync.cli.sync import sync
from m3ter_sync.cli.verify import verify

__all__ = ["main"]


@click.group(cls=Program)
@click.version_option(package_name="m3ter-sync")
def main() -> None:
    """Load m3ter's integration runs and notifications into DuckDB, and ask them questions.

    \b
    Try it without an account:   m3ter-sync demo
    With one, set                M3TER_ORG_ID, M3TER_API_KEY, M3TER_API_SECRET
    and run                      m3ter-sync sync

    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 loaded but a check failed,
    4 stale, 5 warehouse and API differ, 75 another sync is running, 130 and 143 stopped by a
    signal.
    """  # noqa: D301 - \b keeps click from joining lines


for command in (
    demo, sync, list_, models, check, publish, report, verify, query, status, doctor, alerts,
    copy, sandbox,
):  # fmt: skip
    main.add_command(command)
