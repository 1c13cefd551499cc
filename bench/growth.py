"""What a warehouse of 1 to 100 million runs costs the parts of a sync that grow with what is held.

`python -m bench growth` runs all of it; `python -m bench.growth STEP FILE` one step. The runs are
those of `bench/models.sql`, with 0.9 bills to ten runs, every bill listed and at rest.
"""

import json
import sys
import time
from datetime import timedelta

from bench.measure import Cost, run
from m3ter_sync.source import Entity
from m3ter_sync.source.tables import INTEGRATION_RUNS
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline
from m3ter_sync.warehouse.known_rows import DuckDBRows
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.plan import Rules, build_request
from m3ter_sync.warehouse.state import read_state

_LISTED = """
create or replace table m3ter_raw._dlt_loads as
select distinct _dlt_load_id as load_id, 'm3ter' as schema_name, 0 as status
from m3ter_raw.integration_runs;
create or replace table m3ter_raw.entities as
select distinct entity_type, entity_id, now() as listed_at, now() as swept_at,
    false as is_gone, _dlt_load_id
from m3ter_raw.integration_runs;
"""


def step_list(location: Location) -> int:
    """Writes down that every bill was listed; returns the bytes of the database."""
    with location.connect() as connection:
        connection.execute(_LISTED)
    return location.database.stat().st_size


def step_plan(location: Location) -> dict[str, float]:
    """Reads the cursors and plans a sync, as each sync does before it asks for runs."""
    began = time.perf_counter()
    pipeline = build_pipeline(location)
    connection = location.connect()
    state = read_state(pipeline)
    read = time.perf_counter()
    newest = max(held.listed_at for held in state.entities.values() if held.listed_at)
    rules = Rules(
        now=newest + timedelta(hours=1),
        overlap=timedelta(hours=24),
        sweep_after=timedelta(days=7),
        page_size=100,
        since=None,
        until=None,
        is_full=False,
    )
    entities = [Entity("Bill", bill_id) for bill_id in state.bill_ids]
    requests = [build_request(each, state.entities.get(each), rules) for each in entities]
    connection.close()
    return {
        "read": read - began,
        "plan": time.perf_counter() - read,
        "entities": len(state.entities),
        "requests": len([each for each in requests if each]),
    }


def step_compare(location: Location) -> float:
    """Compares 20,000 fetched runs with those held, as a sync does for each so many."""
    with location.connect() as connection:
        names = ", ".join(INTEGRATION_RUNS.arrow_schema.names)
        rows = connection.execute(
            f"select {names} from m3ter_raw.integration_runs using sample 20000"
        ).to_arrow_table()
        rows = rows.cast(INTEGRATION_RUNS.arrow_schema)
        began = time.perf_counter()
        changes = DuckDBRows(connection).drop_unchanged(INTEGRATION_RUNS, rows)
        assert not changes.rows.num_rows
        return time.perf_counter() - began


def run_step(name: str, file: str) -> Cost:
    return run(["-m", "bench.growth", name, file], {})


if __name__ == "__main__":
    step, file = sys.argv[1:]
    print(json.dumps(globals()[f"step_{step}"](Location.of(file))))
