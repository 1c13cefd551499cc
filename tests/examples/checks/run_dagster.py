"""Prints what Dagster makes of an example: its schedule, each exit code, a run of it; as JSON.

Arguments: the folder of the module, the program that it runs.
"""

import json
import sys
from pathlib import Path

import dagster as dg

folder, program = sys.argv[1:]
sys.path.insert(0, folder)
import m3ter_sync  # noqa: E402

definitions = m3ter_sync.definitions
schedule = definitions.resolve_schedule_def("m3ter_sync")


def run() -> dict[str, object]:
    """One run of what the schedule starts."""
    job = definitions.resolve_job_def(schedule.job_name)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    steps = {}
    for event in result.all_events:
        if event.is_step_event and event.event_type_value in (
            "STEP_SUCCESS",
            "STEP_FAILURE",
            "STEP_SKIPPED",
            "STEP_UP_FOR_RETRY",
        ):
            steps[event.step_key] = event.event_type_value
    metadata = {
        event.asset_key.to_user_string(): {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }
    return {"success": result.success, "steps": steps, "metadata": metadata}


real = Path(program).read_bytes()
found = {"cron": schedule.cron_schedule, "zone": schedule.execution_timezone, "judged": {}}
found["first"] = run()
for code in (1, 2, 3, 75, 143):
    Path(program).write_text(f"#!/bin/sh\nexit {code}\n")
    try:
        made = list(m3ter_sync.m3ter_warehouse(dg.build_asset_context()))
        found["judged"][str(code)] = f"{len(made)} materializations"
    except dg.Failure as failure:
        found["judged"][str(code)] = "tried again" if failure.allow_retries else "failed"
Path(program).write_text("#!/bin/sh\nexit 75\n")
found["while another sync runs"] = run()
sys.stdout.write(f"FOUND {json.dumps(found)}\n")
