"""Syncs m3ter every hour as an asset; its figures stand in Dagster's catalogue.

m3ter-sync lives in an environment of its own, because its dependencies are not Dagster's. It takes
its credentials from the environment of the code location: M3TER_ORG_ID, M3TER_API_KEY,
M3TER_API_SECRET. All runs must be where the data folder is; give the pool `m3ter_sync` a limit of 1.
"""

import json
import subprocess
from collections.abc import Iterator

import dagster as dg

PROGRAM = "/opt/m3ter-sync/bin/m3ter-sync"
DATABASE = "/var/lib/m3ter-sync/warehouse.duckdb"


def run(*command: str) -> tuple[int, str]:
    """The exit code and what was printed; the log goes to the run's own."""
    with subprocess.Popen(
        [PROGRAM, *command, "--database", DATABASE], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            printed, _ = process.communicate()
        except BaseException:
            process.terminate()  # what is complete is loaded
            raise
    return process.returncode, printed


@dg.asset(
    pool="m3ter_sync",
    output_required=False,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=300),
)
def m3ter_warehouse(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """m3ter's integration runs and notification configurations, and the views that judge them."""
    code, printed = run("sync", "--json")
    if code == 75:
        context.log.info("Another sync is running.")
        return
    summary = json.loads(printed or "{}")
    if code:
        # 2 and 3 are not mended by a second try: a person must look.
        reason = summary.get("error") or summary.get("failed_checks") or "see the run's log"
        raise dg.Failure(f"exit code {code}: {reason}", allow_retries=code not in (2, 3))
    yield dg.MaterializeResult(
        metadata={
            "seconds": summary["seconds"],
            "requests": summary["requests"],
            "new runs": summary["tables"]["integration_runs"]["new"],
            "changed runs": summary["tables"]["integration_runs"]["changed"],
        }
    )


@dg.asset(deps=[m3ter_warehouse])
def m3ter_report() -> dg.MaterializeResult:
    """The page for people, made of the published copy."""
    code, printed = run("report")
    if code:
        raise dg.Failure(f"exit code {code}: see the run's log", allow_retries=False)
    return dg.MaterializeResult(metadata={"wrote": printed.strip()})


every_hour = dg.ScheduleDefinition(
    name="m3ter_sync",
    target=dg.AssetSelection.assets(m3ter_warehouse, m3ter_report),
    cron_schedule="17 * * * *",
    execution_timezone="Etc/UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

definitions = dg.Definitions(assets=[m3ter_warehouse, m3ter_report], schedules=[every_hour])
