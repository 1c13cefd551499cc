"""The published copy opens where BI tools stand: older DuckDBs, through Python, SQLAlchemy, Node.

Each version gets an environment of its own, from the pinned requirements/readers.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.conftest import NOW, Warehouse
from tests.environments import Environments, run

from m3ter_sync.sandbox import Sandbox, build_world
from m3ter_sync.warehouse.sync import Sync

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "readers"
VERSIONS = ("1.1.3", "1.2.2", "1.4.4")
# No wheels of these are made any more.
NEWEST_PYTHON = {"1.1.3": (3, 13), "1.2.2": (3, 13), "1.4.4": (3, 14)}
# What docs/bi.md shows first, as text, so that every client says the same.
HEADLINES = (
    "select started_on::varchar, destination, delivery_count::varchar, "
    "round(delivery_failure_rate, 9)::varchar from m3ter.integration_failure_rate_daily "
    "where started_on >= date '2025-10-20' and not is_sandbox order by all",
    "select step, scope, covered_count::varchar, round(coverage_rate, 9)::varchar "
    "from notification_coverage_summary order by all",
    "select count(*)::varchar, epoch_ms(max(started_at))::varchar from integration_runs "
    "where started_at > timestamptz '2025-10-20 00:00:00+00'",
)


@pytest.fixture(scope="module")
def environments(pytestconfig: pytest.Config) -> Environments:
    return Environments(pytestconfig, "readers")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    world = build_world(now=NOW, bills=60, notifications=40, runs=1200, open_runs=12)
    with pytest.MonkeyPatch.context() as patch, Sandbox(world) as sandbox:
        patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
        warehouse = Warehouse(sandbox, folder)
        assert not Sync(warehouse.settings(), warehouse.location).run().failed_checks
        return warehouse.location.published_database


@pytest.fixture(scope="module")
def expected(published: Path) -> Any:
    """What this project's own DuckDB reads."""
    return json.loads(run(sys.executable, SCRIPTS / "read.py", published))


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_duckdb_reads_every_row_alone_and_through_sqlalchemy(
    version: str, environments: Environments, published: Path, expected: Any
) -> None:
    if sys.version_info[:2] > NEWEST_PYTHON[version]:
        pytest.skip(f"DuckDB {version} has no wheel for this Python")
    programs = environments.make_python(f"duckdb-{version}")
    script = SCRIPTS / "read.py"
    found = json.loads(run(programs / "python", "-I", script, published, "--sqlalchemy"))
    assert found["duckdb"] == version
    assert len(found["tables"]) >= 18
    assert found["tables"] == expected["tables"]
    assert found["through_sqlalchemy"] == expected["tables"]
    assert found["comments"] == expected["comments"]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_duckdb_reads_it_from_node(
    version: str, environments: Environments, published: Path
) -> None:
    node, packages = environments.make_node("node")
    script = shutil.copy(SCRIPTS / "read.js", packages)
    found = json.loads(run(node, script, f"duckdb-{version}", published, *HEADLINES))
    with duckdb.connect(published, read_only=True) as connection:
        own = [connection.execute(sql).fetchall() for sql in HEADLINES]
    assert all(own)
    as_node_says = [[["null" if v is None else v for v in row] for row in rows] for rows in own]
    assert found == as_node_says


def test_what_the_bi_guide_says_to_ask_is_answered(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (ROOT / "docs/bi.md").read_text(encoding="utf-8")
    queries = re.findall(r"```sql\n(.*?)```", guide, re.DOTALL)
    queries += re.findall(r"`(select [^`]*)`", guide)
    assert len(queries) == 4
    with duckdb.connect(published, read_only=True) as connection:
        for sql in queries:
            # Grafana puts a range of times there.
            plain = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 >= date '2025-10-01'", sql)
            assert connection.execute(plain).fetchall(), sql
    (program,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    monkeypatch.chdir(published.parents[1])
    Path("data").symlink_to(".")
    found: dict[str, Any] = {}
    exec(program, found)  # noqa: S102 - the guide's own
    assert len(found["rows"]) == 10
