"""Runs the benchmarks that are named, or all of them: `python -m bench api_bound unbound …`."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.growth import run_step as run_growth_step
from bench.measure import Cost, run
from bench.models import RUN_COUNTS, run_step, slowest
from bench.worlds import Server, serve_world

SYNC = ["-c", "from m3ter_sync.cli import main; main()", "sync", "--json"]
# More than any sandbox answers: nothing bounds the sync but itself.
UNLIMITED = 100_000


def sync(server: Server, database: Path, requests_per_second: float = UNLIMITED) -> Cost:
    options = ["--database", str(database), "--requests-per-second", str(requests_per_second)]
    return run([*SYNC, *options], server.environment())


def show(what: str, cost: Cost, more: str = "") -> None:
    print(f"  {what:<44}{cost}  {more}", flush=True)


def figures(cost: Cost) -> str:
    done = cost.printed
    rows = sum(table["new"] + table["changed"] for table in done["tables"].values())
    return (
        f"{done['requests']:,} requests, {rows:,} rows new or changed, "
        f"{done['entities_skipped']:,} entities skipped"
    )


def api_bound(folder: Path) -> None:
    """The API is the bound: 50 requests/s, 100 ms latency, 2,000 entities."""
    behaviour = {"requests_per_second": 50, "latency": 0.1}
    with serve_world(bills=1_960, notifications=40, runs=20_000, behaviour=behaviour) as server:
        cost = sync(server, folder / "w.duckdb", 50)
    done = cost.printed
    bound = 1.05 * done["requests"] / 50 + 5
    refused = done["throttled"] / done["requests"]
    show("m3ter-sync", cost, figures(cost))
    print(f"  allowed: {bound:.1f} s; refused with 429: {refused:.2%}")


def unbound(folder: Path) -> None:
    """Nothing bounds us: 2,000 entities, 100,000 runs, 20 ms latency, no limit."""
    with serve_world(
        bills=1_960, notifications=40, runs=100_000, behaviour={"latency": 0.02}
    ) as server:
        floor = run(["-m", "bench.floor"], server.environment())
        show("the floor: bodies thrown away", floor)

        def show_ratio(name: str, cost: Cost) -> None:
            show(name, cost, f"{cost.wall / floor.wall:.1f} x the floor")

        show_ratio("m3ter-sync", sync(server, folder / "w.duckdb"))
        for peer in ("plain_script", "dlt_rest_api"):
            database = folder / peer / "w.duckdb"
            database.parent.mkdir()
            show_ratio(peer, run(["-m", f"bench.{peer}", str(database)], server.environment()))


def size(folder: Path) -> None:
    """Size: time grows no faster than the work, memory stays under 600 MB."""
    for bills, runs in (
        (2_000, 100_000),
        (20_000, 1_000_000),
        (10_000, 30_000),
        (100_000, 300_000),
    ):
        with serve_world(bills=bills, notifications=40, runs=runs) as server:
            database = folder / f"{bills}-{runs}" / "w.duckdb"
            database.parent.mkdir()
            cost = sync(server, database)
            per_run = cost.wall / runs * 1e6
            per_request = cost.wall / cost.printed["requests"] * 1e3
            more = f"{per_run:.0f} µs a run, {per_request:.1f} ms a request"
            show(f"{bills:,} bills, {runs:,} runs", cost, more)


def unchanged(folder: Path) -> None:
    """Nothing changed, then 1 % of the entities: 100,000 settled ones."""
    # The world ended ten days ago, so that no run is young enough to be asked for again.
    with serve_world(
        bills=100_000, notifications=40, runs=200_000, open_runs=0, age_days=10
    ) as server:
        show("first sync", cost := sync(server, folder / "w.duckdb"), figures(cost))
        show("nothing changed", cost := sync(server, folder / "w.duckdb"), figures(cost))
        server.control("/sandbox/advance?days=1", "POST")
        show("moved on by a day", cost := sync(server, folder / "w.duckdb"), figures(cost))


def fixed_cost(folder: Path) -> None:
    """Fixed cost: a sync with nothing to do, imports included; the median of five."""
    with serve_world(open_runs=0, age_days=10) as server:
        sync(server, folder / "w.duckdb")
        costs = [sync(server, folder / "w.duckdb") for _ in range(5)]
    show("m3ter-sync", sorted(costs, key=lambda cost: cost.cpu)[2], figures(costs[0]))


def models(folder: Path) -> None:
    """Models: build, publish and ask 0.1, 1 and 10 million runs, made and not synced."""
    for run_count in RUN_COUNTS:
        database = folder / f"{run_count}" / "w.duckdb"
        database.parent.mkdir()
        run_step("make", database, str(run_count))
        for step in ("build", "publish", "ask", "ask_views"):
            cost = run_step(step, database)
            show(f"{run_count:,} runs: {step}", cost, slowest(cost.printed or {}))


def growth(folder: Path) -> None:
    """Growth: cursors, plan and comparing at 1 and 10 million runs, made and not synced."""
    for run_count in RUN_COUNTS[1:]:
        database = folder / f"{run_count}" / "w.duckdb"
        database.parent.mkdir()
        run_step("make", database, str(run_count))
        for step in ("list", "plan", "compare"):
            cost = run_growth_step(step, str(database))
            show(f"{run_count:,} runs: {step}", cost, json.dumps(cost.printed))


def soak(folder: Path) -> None:
    """A simulated year of daily syncs under faults, half an hour; ends with the figures as JSON."""
    from bench.soak import live

    print(json.dumps(live(folder), indent=2))


SCENARIOS: list[Callable[[Path], None]] = [
    api_bound,
    unbound,
    size,
    unchanged,
    fixed_cost,
    models,
    growth,
    soak,
]


def main(names: list[str]) -> None:
    known = {scenario.__name__: scenario for scenario in SCENARIOS}
    if unknown := set(names) - set(known):
        raise SystemExit(f"There is no {', '.join(unknown)}; there are {', '.join(known)}.")
    for name, scenario in known.items():
        if not names or name in names:
            print(f"{name}: {scenario.__doc__}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                scenario(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
