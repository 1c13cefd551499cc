"""Syncs m3ter every hour, then writes the report, and tells when what is published has grown old.

m3ter-sync lives in an environment of its own, because its dependencies are not Airflow's. The
credentials are those of the connection `m3ter`: login, password, and {"org_id": "…"} as extra.
All tasks must run where the data folder is: give that worker a queue of its own.
"""

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseHook, BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

PROGRAM = "/opt/m3ter-sync/bin/m3ter-sync"
DATABASE = "/var/lib/m3ter-sync/warehouse.duckdb"


class M3terSync(BaseOperator):
    """Runs one command of m3ter-sync, and judges its exit code."""

    def __init__(self, command: list[str], **kwargs) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.hook = SubprocessHook()

    def execute(self, context: Context) -> None:
        account = BaseHook.get_connection("m3ter")
        result = self.hook.run_command(
            [PROGRAM, *self.command, "--database", DATABASE],
            env=os.environ
            | {
                "M3TER_ORG_ID": account.extra_dejson["org_id"],
                "M3TER_API_KEY": account.login,
                "M3TER_API_SECRET": account.password,
            },
        )
        match result.exit_code:
            case 0:
                return
            case 75:
                raise AirflowSkipException("another sync is running")
            case 2 | 3 | 4 | 5:  # a second try does not help: a person must look
                raise AirflowFailException(f"exit code {result.exit_code}: {result.output}")
            case code:
                raise AirflowException(f"exit code {code}: {result.output}")

    def on_kill(self) -> None:
        self.hook.send_sigterm()  # what is complete is loaded


with DAG(
    "m3ter_sync",
    schedule="17 * * * *",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"queue": "m3ter", "retries": 2, "retry_delay": timedelta(minutes=5)},
):
    sync = M3terSync(task_id="sync", command=["sync"], execution_timeout=timedelta(hours=12))
    report = M3terSync(task_id="report", command=["report"])
    freshness = M3terSync(
        task_id="freshness", command=["status", "--max-age", "3h"], trigger_rule="all_done"
    )
    sync >> report
    sync >> freshness
