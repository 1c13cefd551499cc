"""What dlt alone can use: the rows are loaded there, and the models are run by hand."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import Result

from m3ter_sync.sandbox import Sandbox

Run = Callable[..., Result]


def test_the_printed_script_builds_the_marts_of_what_was_loaded_there(
    run: Run, folder: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = folder / "elsewhere.duckdb"
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(database))
    for _ in range(2):
        synced = run("sync", "--destination", "duckdb")
        assert synced.exit_code == 0, synced.output
    script = run("models", "--engine", "motherduck", "--dry-run").stdout
    with duckdb.connect(database) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(script)
        log = connection.execute("select outcome from m3ter.load_history").fetchall()
        assert log == [("succeeded",)] * 2
        numbers = connection.execute("select sync_number from m3ter_raw.syncs order by 1")
        assert numbers.fetchall() == [(1,), (2,)]
        (as_of, runs) = connection.execute(
            "select max(as_of), (select count(*) from m3ter.integration_runs) "
            "from m3ter.sync_status"
        ).fetchone() or (None, 0)
    assert as_of is not None
    assert runs == len(sandbox.world.integration_runs)


def test_a_sync_that_fails_there_is_written_down_there(
    run: Run, folder: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = folder / "elsewhere.duckdb"
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(database))
    assert run("sync", "--destination", "duckdb").exit_code == 0
    sandbox.world.event_types.clear()
    assert run("sync", "--destination", "duckdb").exit_code == 1
    with duckdb.connect(database) as connection:
        log = connection.execute(
            "select sync_number, outcome, error from m3ter_raw.syncs order by sync_number"
        ).fetchall()
    assert log[0] == (1, "succeeded", None)
    assert log[1][:2] == (2, "failed")
    assert log[1][2].startswith("event_types: m3ter lists 0")
