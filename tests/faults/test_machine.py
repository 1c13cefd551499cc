"""The machine below: a disk that is full, a folder that is read-only, too little of anything."""

import os
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from m3ter_sync.warehouse.location import Location

from .conftest import Case
from .rows import ALL, BEFORE, NOTHING, Fault, declare

_KEPT = "Make room there and sync again: what was loaded is kept."


def run(case: Case, command: Sequence[str], **settings: object) -> subprocess.CompletedProcess[str]:
    """Runs the program, or a script around it, in a process that the machine's limits hold for."""
    environment = os.environ | case.settings(retry_seconds=5, page_size=200, **settings)
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def sync_command(case: Case) -> list[str]:
    program = Path(sysconfig.get_path("scripts")) / "m3ter-sync"
    return [str(program), "sync", "--database", str(case.database)]


@cache
def can_mount() -> bool:
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    "not can_mount()", reason="needs user namespaces, to mount a small disk (unshare -rm)"
)


def as_anybody(command: list[str]) -> list[str]:
    """The command without root's right to write where nobody may."""
    if os.geteuid() != 0:
        return command
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv, because root may write anywhere")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]


def on_small_disk(case: Case, mounted: str, size: str, then: str = "true") -> list[str]:
    """The sync with a folder on a disk of its own; it is gone with the process."""
    folder = shlex.quote(str(case.database.parent / mounted))
    script = (
        f"mkdir -p {folder} && mount -t tmpfs -o size={size} tmpfs {folder} || exit 99; "
        f"{shlex.join(sync_command(case))}; code=$?; {then}; exit $code"
    )
    return ["unshare", "-rm", "sh", "-c", script]


def check(fault: Fault, case: Case, done: subprocess.CompletedProcess[str]) -> None:
    """The last line says it. Before it may stand what libraries log."""
    case.check_error(fault, done.returncode, done.stderr.splitlines()[-1:])
    case.check_held(fault)


@needs_mounts
@declare(
    Fault("disk full", f"…warehouse.duckdb…: No space left on device. {_KEPT}"),
)
def test_a_full_disk_loses_nothing_and_is_gone_on_from(
    fault: Fault, case: Case, tmp_path: Path
) -> None:
    data = shlex.quote(str(case.database.parent))
    held, later = tmp_path / "held", tmp_path / "later"
    then = (
        f"cp -r {data} {held}; mount -o remount,size=400m {data}; "
        f"{shlex.join(sync_command(case))} || code=98; cp -r {data} {later}"
    )
    done = run(case, on_small_disk(case, ".", "600k", then))
    error = next(line for line in done.stderr.splitlines() if line.startswith("Error: "))
    case.check_error(fault, done.returncode, [error])
    case.warehouse.location = Location.of(held / "warehouse.duckdb")
    case.check_held(fault)
    case.warehouse.location = Location.of(later / "warehouse.duckdb")
    case.warehouse.assert_equals_the_world()
    assert (later / "published" / "m3ter.duckdb").exists()


@needs_mounts
@declare(
    Fault(
        "disk of the published folder full",
        f"…/published/.publishing/m3ter.duckdb: No space left on device. {_KEPT}",
        holds=ALL,
    )
)
def test_a_full_published_folder_keeps_what_is_loaded(fault: Fault, case: Case) -> None:
    check(fault, case, run(case, on_small_disk(case, "published", "300k")))
    case.check_next()


@needs_mounts
@declare(
    Fault(
        "disk of the working folder full",
        "dlt failed to extract what was fetched: [Errno 28] No space left on device. Nothing of "
        f"this load is kept; the next sync fetches it again. {_KEPT}",
        holds=NOTHING,
    )
)
def test_a_full_working_folder_keeps_what_is_loaded(fault: Fault, case: Case) -> None:
    check(fault, case, run(case, on_small_disk(case, "warehouse.dlt", "100k")))
    case.check_next()


@declare(
    Fault(
        "files may not grow (ulimit -f)",
        "…: File too large. Raise the limit on file sizes (ulimit -f) and sync again.",
    )
)
def test_a_limit_on_file_sizes_loses_nothing(fault: Fault, case: Case) -> None:
    command = ["sh", "-c", f"ulimit -f 800; exec {shlex.join(sync_command(case))}"]
    check(fault, case, run(case, command))
    case.check_next()


@declare(
    Fault(
        "folder that is read-only from the start",
        "Cannot write to …/data: Permission denied. …",
        exit_code=2,
        holds=NOTHING,
    )
)
def test_a_folder_that_nobody_may_write_to_is_said_at_once(fault: Fault, case: Case) -> None:
    folder = case.database.parent
    folder.mkdir(mode=0o555)
    check(fault, case, run(case, as_anybody(sync_command(case))))
    folder.chmod(0o755)
    case.check_next()


@declare(
    Fault(
        "folder that has become read-only",
        'dlt failed to load what was fetched: …Cannot open file "…/data/warehouse.duckdb.wal": '
        "Permission denied. Nothing of this load is kept; the next sync fetches it again. Check "
        "whose it is, and as who this runs.",
        holds=BEFORE,
    )
)
def test_a_folder_that_has_become_read_only_holds_what_it_held(fault: Fault, case: Case) -> None:
    case.sync_before()
    folder = case.database.parent
    folder.chmod(0o555)
    check(fault, case, run(case, as_anybody(sync_command(case))))
    folder.chmod(0o755)
    case.check_next()


@declare(
    Fault(
        "publishing that fails half-way",
        "[Errno 21] Is a directory: … -> '…/published/integration_deliveries.parquet'. Move that "
        "folder away: a file belongs there.",
        holds=ALL,
        after="publishes what is missing and comes right",
    )
)
def test_a_copy_that_is_published_half_way_is_completed(fault: Fault, case: Case) -> None:
    published = case.database.parent / "published"
    obstacle = published / "integration_deliveries.parquet"
    obstacle.mkdir(parents=True)
    check(fault, case, run(case, sync_command(case)))
    assert not (published / "manifest.json").exists()
    assert not (published / ".publishing").exists()
    obstacle.rmdir()
    assert case.sync().exit_code == 0
    assert (published / "manifest.json").exists()
    assert obstacle.is_file()


@declare(
    Fault(
        "too many open files",
        "…oo many …open…. Raise the limit …(ulimit -n), or lower threads.…",
    )
)
def test_too_few_open_files_are_named(fault: Fault, case: Case) -> None:
    case.sandbox.behaviour.latency = 0.3
    limited = ["prlimit", "--nofile=20", *sync_command(case)]
    check(fault, case, run(case, limited, threads=32))
    case.sandbox.behaviour.latency = 0
    case.check_next()


@pytest.mark.parametrize("megabytes", [600, 900])
@declare(
    Fault("too little memory (ulimit -v)", "…", exit_code=-1),
)
def test_too_little_memory_loses_nothing(fault: Fault, megabytes: int, case: Case) -> None:
    """How it ends depends on who is refused first: a line, or an abort. Once, on a busy machine,
    it had not ended after two minutes, why is not known: then it is killed."""
    limited = ["timeout", "--signal=KILL", "60", "prlimit", f"--as={megabytes * 1_000_000}"]
    done = run(case, [*limited, *sync_command(case)])
    assert done.returncode != 0
    case.check_held(fault)
    case.check_next()
