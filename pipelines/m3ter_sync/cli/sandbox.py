"""`m3ter-sync sandbox`: a local m3ter by itself."""

import signal
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from m3ter_sync.cli.program import Command

if TYPE_CHECKING:
    from m3ter_sync.sandbox import Sandbox


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(0, 65535), default=8085, help="0 takes a free one.")
@click.option("--bills", type=click.IntRange(0), default=300, help="How many bills there are.")
@click.option("--runs", type=click.IntRange(0), default=6000, help="How many integration runs.")
@click.option("--notifications", type=click.IntRange(0), default=40, help="How many of them.")
@click.option("--days", type=click.IntRange(1), default=90, help="How far back they go.")
@click.option("--seed", type=int, default=7, help="The same seed gives the same world.")
@click.option("--requests-per-second", type=click.FloatRange(min=1), help="More are answered 429.")
@click.option(
    "--latency", type=click.FloatRange(0), default=0.0, help="Seconds before each answer."
)
@click.option(
    "--fault-rate", type=click.FloatRange(0, 1), default=0.0, help="The share of spoiled answers."
)
def sandbox(
    port: int,
    bills: int,
    runs: int,
    notifications: int,
    days: int,
    seed: int,
    requests_per_second: float | None,
    latency: float,
    fault_rate: float,
) -> None:
    """Run a local m3ter with made-up data, until Ctrl-C.

    \b
    POST /sandbox/advance?days=1   moves its world on
    GET  /sandbox/requests         shows what it was asked
    """  # noqa: D301 - \b keeps click from joining lines
    from m3ter_sync.sandbox import Fault, Faults, Sandbox, build_world

    # An answer that never comes would hold a client up for a minute.
    faults = [fault for fault in Fault if fault is not Fault.HANG]
    world = build_world(
        seed,
        now=datetime.now(UTC),
        bills=bills,
        notifications=notifications,
        runs=runs,
        days=days,
    )
    server = Sandbox(
        world,
        port=port,
        requests_per_second=requests_per_second,
        latency=latency,
        faults=Faults({fault: fault_rate / len(faults) for fault in faults}, seed=seed),
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(server)
        except OSError as error:
            message = f"Port {port} cannot be used: {error.strerror}. Try --port 0"
            raise click.UsageError(message) from None
        click.echo(_describe(server))
        # Shells start what they put in the background with SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Event().wait()


def _describe(server: "Sandbox") -> str:
    return f"""\
A local m3ter answers at {server.base_url}, until Ctrl-C.
Its data are made up, and its credentials open nothing else. In another terminal:

export M3TER_BASE_URL={server.base_url}
export M3TER_ORG_ID={server.org_id}
export M3TER_API_KEY={server.access_key_id} M3TER_API_SECRET={server.api_secret}
m3ter-sync sync --database data/sandbox/warehouse.duckdb --requests-per-second 1000

To move its world on by a day:  curl -X POST '{server.base_url}/sandbox/advance?days=1'
"""
