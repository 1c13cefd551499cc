"""The one place that chooses the dlt destination and how dlt behaves."""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from m3ter_sync.warehouse.location import (
    POSTGRES,
    RAW_SCHEMA,
    Location,
    WarehouseError,
    WarehouseMisplaced,
    measure,
)
from m3ter_sync.warehouse.memory import is_out_of_memory, lift_limit
from m3ter_sync.warehouse.state import read_newest_load_id

if TYPE_CHECKING:
    from dlt import Pipeline
    from dlt.extract import DltResource
    from dlt.pipeline.exceptions import PipelineStepFailed

    from m3ter_sync.warehouse.lake import Lake

_LOG = logging.getLogger(__name__)
PIPELINE_NAME = "m3ter_sync"
# Where dlt keeps a package from extracting on, and from normalizing on until it is loaded.
_PENDING = {"extracted": "normalize/extracted/*", "normalized": "load/normalized/*"}
# How dlt names the files of a lake: by table and load.
LAYOUT = "{table_name}/load_id={load_id}/{file_id}.{ext}"
# Where the working folder keeps the newest load of the warehouse that is being added to.
_FOLLOWS = "follows_load_id"

# What a sync needs of dlt, wherever it runs and whatever dlt's own defaults are.
_DLT_SETTINGS = {
    # Nothing is asked of any host but m3ter's.
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    # SIGINT and SIGTERM are ours: they end the fetching, and what is complete is loaded.
    "RUNTIME__INTERCEPT_SIGNALS": "false",
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
    # What was loaded is of no more use: its files, and then (see run_pipeline) its folder.
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "LOAD__RAISE_ON_FAILED_JOBS": "true",
}


# dlt's own would take releases that write over a commit of a lake that is there.
_EXTRAS = {
    "dlt[s3]": "m3ter-sync[s3]",
    "dlt[gs]": "m3ter-sync[gcs]",
    "dlt[az]": "m3ter-sync[azure]",
}


def configure_dlt() -> None:
    """Tells dlt how to behave. It reads its settings once, when it is first asked for any."""
    os.environ.update(_DLT_SETTINGS)


def build_pipeline(location: Location, name: str = PIPELINE_NAME) -> "Pipeline":
    """The dlt pipeline of a warehouse.

    Args:
        location: The warehouse; its lock is held. What dlt needs for another destination than
            DuckDB's file is configured as dlt has it.
        name: Which pipeline; what one left unfinished is no other's.

    Raises:
        WarehouseMisplaced: dlt knows no such destination, or lacks what it needs for it.
        WarehouseError: the destination does not answer.
    """
    os.environ.setdefault("DLT_DATA_DIR", str(location.work_folder))
    configure_dlt()
    _remove_leftovers(location)
    # dlt hands SQL from step to step through files in the temporary folder.
    temporary = location.work_folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(temporary)
    import dlt
    from dlt.common.runtime.run_context import RunContext, active

    context = active()
    if isinstance(context, RunContext):
        # Else ~/.dlt, or /var/dlt: dlt puts an id for its telemetry there even where that is off.
        context._global_dir = str(location.work_folder)
    with explained(location):
        pipeline = dlt.pipeline(
            name,
            destination=build_destination(location),
            dataset_name=RAW_SCHEMA,
            pipelines_dir=str(location.work_folder / "pipelines"),
        )
        if location.destination and not location.is_lake:
            _check_history(pipeline, location.destination)
            # dlt looks for packages and credentials when it is first asked for anything.
            read_newest_load_id(pipeline)
    return pipeline


def build_destination(location: Location) -> Any:
    """Where dlt loads to."""
    import dlt

    if location.is_lake:
        # Files are only ever added: dlt would remove all but the newest states of its own.
        return dlt.destinations.filesystem(layout=LAYOUT, max_state_files=0)
    if location.destination == POSTGRES:
        from m3ter_sync.warehouse import postgres

        return postgres.build_destination()
    return location.destination or dlt.destinations.duckdb(str(location.database))


@contextmanager
def explained(location: Location) -> Iterator[None]:
    """Says in our words what dlt says of a destination that it cannot use.

    Raises:
        WarehouseMisplaced: dlt knows no such destination, or lacks what it needs for it.
        WarehouseError: the destination does not answer.
    """
    from dlt.common.configuration.exceptions import ConfigurationException
    from dlt.common.destination.exceptions import (
        DestinationException,
        DestinationTransientException,
        UnknownDestinationModule,
    )
    from dlt.common.exceptions import MissingDependencyException

    destination = location.destination
    try:
        yield
    except MissingDependencyException as error:
        needed = (_EXTRAS.get(each, each) for each in error.dependencies)
        raise WarehouseMisplaced(
            f"The packages of the destination {destination} are missing; run: "
            f"pip install {' '.join(map(repr, needed))}"
        ) from error
    except ConfigurationException as error:
        name = destination.upper() if destination else "NAME"
        setting = "BUCKET_URL" if location.is_lake else "..."
        raise WarehouseMisplaced(
            f"The destination {destination} is not configured: {_first_line(error)}. Set "
            f"DESTINATION__{name}__{setting} in the environment, or [destination.{destination}] "
            "in .dlt/secrets.toml."
        ) from error
    except UnknownDestinationModule as error:
        raise WarehouseMisplaced(
            f"dlt knows no destination {destination}; name one such as postgres or bigquery."
        ) from error
    except DestinationTransientException as error:
        raise WarehouseError(
            f"The destination {destination} cannot be reached: {_first_line(error)}"
        ) from error
    except DestinationException as error:
        raise WarehouseMisplaced(
            f"dlt cannot use the destination {destination}: {_first_line(error)}."
        ) from error


def _remove_leftovers(location: Location) -> None:
    """Removes what a sync that was killed was writing; nobody else is at work in the folder.

    dlt never looks at it again, and a large load is large there too. What was extracted to its
    end is a package, and stays.
    """
    shutil.rmtree(location.work_folder / "tmp", ignore_errors=True)
    for folder in location.work_folder.glob(f"pipelines/{PIPELINE_NAME}/normalize/*/"):
        if folder.name != "extracted":
            shutil.rmtree(folder, ignore_errors=True)


def _check_history(pipeline: "Pipeline", destination: str) -> None:
    """Refuses a destination that can only be appended to: it would hold every row many times.

    Raises:
        WarehouseMisplaced: it is one.
    """
    if "scd2" not in (pipeline.destination.capabilities().supported_merge_strategies or ()):
        raise WarehouseMisplaced(
            f"The destination {destination} cannot keep a history of rows that change; name one "
            "that can, such as duckdb, postgres or bigquery."
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".:")


def finish_pending(
    pipeline: "Pipeline", newest_load_id: str | None, lake: "Lake | None" = None
) -> None:
    """Loads what an earlier sync left behind when it was killed.

    It is dropped where the warehouse is not the one that it was fetched for: another machine
    synced meanwhile, or an older copy was put in its place. Then it would bring old versions
    back, or leave a gap before it. So is what cannot be loaded, and what was being loaded: a
    job that had been done and not been noted would be done twice. Nothing is lost by that: the
    cursors are read from the rows that are loaded, so what was dropped is fetched again.
    """
    from dlt.pipeline.exceptions import PipelineStepFailed

    if not pipeline.has_pending_data:
        return
    try:
        follows = pipeline.get_local_state_val(_FOLLOWS)
    except KeyError:
        follows = None
    if follows != newest_load_id or _is_being_loaded(pipeline):
        _LOG.info("What an earlier sync left behind cannot be relied on; it is fetched again.")
        pipeline.drop()
        return
    _LOG.info("Loading what an earlier sync left behind.")
    try:
        info = pipeline.run()
    except PipelineStepFailed as error:
        _LOG.warning(
            "What an earlier sync left behind cannot be loaded (%s); it is fetched again.",
            _first_line(error.exception),
        )
        pipeline.drop()
    else:
        if lake and info:
            lake.add(info)


def list_pending(location: Location) -> list[dict[str, Any]]:
    """The load packages in the working folder, without making dlt look into it.

    Each has `load_id`, `began_at`, its `stage` (extracted or normalized), and its size in `bytes`.
    While a sync runs, they are what it is loading.
    """
    pending = []
    for stage, place in _PENDING.items():
        for package in sorted((location.work_folder / "pipelines" / PIPELINE_NAME).glob(place)):
            try:
                began_at = datetime.fromtimestamp(float(package.name), UTC)
            except (ValueError, OverflowError):
                continue  # dlt names each after the time
            size = measure(package)
            pending.append(
                {"load_id": package.name, "began_at": began_at, "stage": stage, "bytes": size}
            )
    return pending


def _is_being_loaded(pipeline: "Pipeline") -> bool:
    """Whether a job of a pending package was begun."""
    packages = map(pipeline.get_load_package_info, pipeline.list_normalized_load_packages())
    return any(
        jobs for package in packages for state, jobs in package.jobs.items() if state != "new_jobs"
    )


def run_pipeline(
    pipeline: "Pipeline",
    resources: list["DltResource"],
    location: Location | None,
    lake: "Lake | None" = None,
    *,
    check_lock: Callable[[], None],
) -> list[str]:
    """Extracts, normalizes and loads some resources; returns the ids of the loads.

    Args:
        pipeline: Where to.
        resources: What.
        location: The warehouse, where the destination is one: so long as a connection to it is
            open, dlt's own are held to its limits.
        lake: The lake that is added to.
        check_lock: Raises where the warehouse is no longer ours to write to. To extract may take
            hours; what was fetched before another wrote would bring old versions back.

    Raises:
        M3terError: what a resource met while it was extracted.
        WarehouseBusy: another added to the lake meanwhile.
        WarehouseError: dlt could not load what was extracted.
    """
    import dlt
    from dlt.pipeline.exceptions import PipelineStepFailed

    from m3ter_sync.api import M3terError

    @dlt.source(name="m3ter", section="m3ter", max_table_nesting=0)
    def selected() -> Any:
        return resources

    newest = read_newest_load_id(lake.connection if lake else pipeline)
    pipeline.set_local_state_val(_FOLLOWS, newest)
    is_duckdb = location is not None and location.destination is None
    is_postgres = pipeline.destination.destination_name == POSTGRES
    if is_postgres:
        from m3ter_sync.warehouse import postgres

        for resource in resources:
            resource.add_map(postgres.replace_nul)
    with location.connect_duckdb() if location and is_duckdb else nullcontext() as connection:
        try:
            try:
                with _keep_quiet(of_tracebacks=is_postgres):
                    # What it does first where there is nothing to load: it reads its own state.
                    pipeline.run()
                    pipeline.extract(selected(), loader_file_format="parquet")
                    pipeline.normalize()
                    check_lock()
                    info = pipeline.load()
            except PipelineStepFailed as error:
                if connection is None or not _is_out_of_memory(error):
                    raise
                _LOG.info("The load needs more memory; it goes on with all there is.")
                lift_limit(connection)
                info = pipeline.load()
        except PipelineStepFailed as error:
            cause: BaseException | None = error.exception
            while cause is not None:
                if isinstance(cause, M3terError | WarehouseError):
                    raise cause from None
                cause = cause.__cause__
            if is_postgres:
                postgres.raise_refusal(error)
            raise WarehouseError(
                f"dlt failed to {error.step} what was fetched: {_find_reason(error)}. "
                "Nothing of this load is kept; the next sync fetches it again."
            ) from error
    if is_postgres:
        with postgres.connect() as server:
            server.tend_raw()
    if lake:
        lake.add(info)
    # dlt keeps 100 KB of each package that it loaded: of hourly syncs nearly a gigabyte a year.
    storage = pipeline._get_load_storage()
    for load_id in pipeline.list_completed_load_packages():
        storage.delete_loaded_package(load_id)
    return list(info.loads_ids)


@contextmanager
def _keep_quiet(*, of_tracebacks: bool) -> Iterator[None]:
    """Drops what dlt logs of each of its attempts with too little memory, traceback and all.

    They are expected, and what follows from them is said once. So it is of all that a server
    refuses, or that it went away.
    """

    def is_other(record: logging.LogRecord) -> bool:
        text = f"{record.getMessage()} {record.exc_info and record.exc_info[1]}"
        if of_tracebacks and (record.exc_info or "Traceback" in text):
            return False
        # The second is dlt's last word on a load that it gave up: what it raises says more.
        return not is_out_of_memory(text) and "was not fully loaded" not in text

    logger = logging.getLogger("dlt")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _find_reason(error: "PipelineStepFailed") -> str:
    """The error that a step ended with; of a failed job dlt tells it as a traceback's text."""
    text = str(error.exception).strip()
    raised = re.findall(r"^[\w.]+(?:Error|Exception): (.+)", text, re.MULTILINE)
    return (raised[-1] if raised else text).rstrip(".:")


def _is_out_of_memory(error: "PipelineStepFailed") -> bool:
    """Whether it was in the destination; dlt hands on its words, not the error itself."""
    return error.step == "load" and is_out_of_memory(str(error.exception))
