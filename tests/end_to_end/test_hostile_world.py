"""Names and texts that somebody else wrote are data, in SQL, in files and on the screen."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import Result

from m3ter_sync.sandbox import Sandbox

Run = Callable[..., Result]
HOSTILE = [
    "'; drop schema m3ter_raw cascade; --",
    '"; drop table bills; --',
    "x\" varchar); copy (select 1) to 'out.csv'; --",
    "$$; drop table bills; $$",
    "{integration_runs}",
    "%s ? $1 :name",
    "a\\'b`c[d]",
    "select",
    "\u202e\u0000\x1b[31m\n\t",
    "",
    "é" * 300,
]


@pytest.fixture
def hostile(sandbox: Sandbox) -> list[str]:
    """Every table of the world holds every hostile text, as a name and as a value."""
    world = sandbox.world
    tables = (world.integration_runs, world.bills, world.notification_configurations)
    for table in tables:
        for row, text in zip(list(table.values()), HOSTILE, strict=False):
            row[f"x{text}"] = text
            row[text] = {text: text}
    for run, text in zip(list(world.integration_runs.values()), HOSTILE, strict=False):
        run |= {"destination": text or "X", "error": text, "externalId": text}
    for one, text in zip(list(world.notification_configurations.values()), HOSTILE, strict=False):
        one |= {"name": text or "x", "code": text or "x", "calculation": text}
    world.event_types += [f"scheduled.{text}" for text in HOSTILE]
    return HOSTILE


def test_what_others_wrote_is_loaded_as_it_is_and_runs_nowhere(
    run: Run, sandbox: Sandbox, hostile: list[str]
) -> None:
    for arguments in (["sync"], ["sync", "--full"], ["models"], ["report"], ["verify"], ["status"]):
        result = run(*arguments)
        assert "Traceback" not in result.output
        # A check may find what is odd, and says so; nothing breaks.
        assert result.exit_code in (0, 3, 5), (arguments, result.output)
    with duckdb.connect("data/warehouse.duckdb", read_only=True) as connection:
        held = dict(connection.sql("select id, error from m3ter_raw.integration_runs").fetchall())
        assert len(held) >= len(sandbox.world.listed_runs())
        columns = connection.sql(
            "select column_name from duckdb_columns() where schema_name = 'm3ter_raw'"
        ).fetchall()
    served = {id_: row.get("error") for id_, row in sandbox.world.listed_runs().items()}
    for run_id, error in served.items():
        assert held[run_id] == error, run_id
    assert all(name.isidentifier() for (name,) in columns), columns
    assert not list(Path().rglob("out.csv"))


@pytest.mark.parametrize(
    "value", ["'; drop table x; --", "[1, 7)); drop table x; --", "$$", "\\", "{m3ter_raw}", "''"]
)
@pytest.mark.parametrize("name", ["WINDOW_DAYS", "COUNTS_SANDBOX", "STUCK_AFTER_HOURS"])
def test_a_setting_is_a_value_and_never_sql(run: Run, name: str, value: str) -> None:
    refused = run("sync", env={f"SOURCES__M3TER__{name}": value})
    assert refused.exit_code == 2, refused.output
    assert f"{name.lower()} is " in refused.stderr


def test_a_path_is_a_path_whatever_is_in_it(run: Run) -> None:
    database = Path('a"b;{c} $$ ü') / 'a"b;{c} $$ ü.duckdb'
    assert run("sync", "--database", database, "--entity-type", "Notification").exit_code == 0
    assert (database.parent / "published" / "m3ter.duckdb").exists()
    assert run("check", "--database", database).exit_code == 0


def test_a_path_that_dlt_cannot_load_from_is_refused_before_anything_is_made(run: Run) -> None:
    refused = run("sync", "--database", "o'brien/warehouse.duckdb")
    assert refused.exit_code == 2
    assert "apostrophe" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", ["x'; drop table y; --", "../../etc", "os"])
def test_a_destination_is_a_name_or_refused(run: Run, name: str) -> None:
    refused = run("sync", "--destination", name, "--quiet")
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"Error: dlt knows no destination {name};")
    assert len(refused.stderr.splitlines()) == 1
