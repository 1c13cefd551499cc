"""Prints what Airflow makes of an example: its DAG, each exit code, three runs of it; as JSON.

Arguments: the folder of the DAG, the program that it runs, the lock of its warehouse.
"""

import fcntl
import json
import os
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag


def judge(task, program: Path) -> dict[str, str]:
    """What each exit code of the program is for Airflow."""
    judged = {}
    for code in (0, 1, 2, 3, 4, 5, 75, 143):
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        try:
            task.execute({})
            judged[str(code)] = "done"
        except Exception as error:  # noqa: BLE001 - which one is the question
            judged[str(code)] = type(error).__name__
    return judged


def run(dag) -> dict[str, object]:
    run = dag.test()
    tasks = {each.task_id: str(each.state) for each in run.get_task_instances()}
    return {"run": str(run.state), "tasks": tasks}


folder, program, lock = sys.argv[1:]
real = Path(program).read_bytes()
bag = DagBag(folder)
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
found = {
    "dag": {
        "id": dag.dag_id,
        "schedule": dag.schedule,
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "retries": sorted({task.retries for task in dag.tasks}),
        "queues": sorted({task.queue for task in dag.tasks}),
    },
    "judged": judge(dag.get_task("sync"), Path(program)),
}
Path(program).write_bytes(real)
found["first"] = run(dag)
with Path(lock).open("w") as held:
    fcntl.flock(held, fcntl.LOCK_EX)
    found["while another sync runs"] = run(dag)
account = json.loads(os.environ["AIRFLOW_CONN_M3TER"]) | {"password": "wrong"}
os.environ["AIRFLOW_CONN_M3TER"] = json.dumps(account)
found["with a wrong secret"] = run(dag)
sys.stdout.write(f"FOUND {json.dumps(found)}\n")
