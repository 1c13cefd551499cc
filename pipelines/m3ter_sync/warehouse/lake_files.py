"""The files of a lake: found, listed, read, and written once, in a folder or in a store."""

import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from m3ter_sync.warehouse.dlt_pipeline import build_destination, configure_dlt, explained
from m3ter_sync.warehouse.location import (
    RAW_SCHEMA,
    Location,
    WarehouseError,
    WarehouseMisplaced,
)

if TYPE_CHECKING:
    import duckdb
    from dlt import Pipeline

    # It has no types of its own.
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a lake.

    Attributes:
        fs: What reads and writes them, configured as dlt's destination `filesystem` is.
        root: The folder of all, as `fs` names it.
        url: The same, as people and other engines do.
        is_local: Whether it is a folder of this machine.
    """

    fs: "AbstractFileSystem"
    root: str
    url: str
    is_local: bool

    @classmethod
    def find(cls, location: Location) -> "Files":
        """The files that dlt's configuration names.

        Raises:
            WarehouseMisplaced: dlt is not configured for it, or lacks packages.
        """
        from dlt.common.storages import fsspec_from_config

        configure_dlt()
        with explained(location):
            destination = build_destination(location)
            config = destination.configuration(destination.spec()._bind_dataset_name(RAW_SCHEMA))
            try:
                fs, path = fsspec_from_config(config)
            except (ValueError, ImportError) as error:
                raise WarehouseMisplaced(
                    f"dlt cannot use the bucket URL {config.bucket_url}: {error}."
                ) from error
        if config.is_local_filesystem:
            path = config.make_local_path(config.bucket_url)
        root = f"{path.rstrip('/')}/{RAW_SCHEMA}"
        return cls(fs, root, config.bucket_url, config.is_local_filesystem)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Says of whatever a store answers which store it was."""
        try:
            yield
        except WarehouseError:
            raise
        except Exception as error:  # each store has errors of its own
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise WarehouseError(f"The lake {self.url} cannot be used: {reason}.") from error

    def list_numbers(self, log: str) -> list[int]:
        """The numbers of the files of a log, ascending.

        Raises:
            WarehouseMisplaced: there is no such bucket.
            WarehouseError: one is missing between others, or the lake cannot be read.
        """
        self.fs.invalidate_cache()
        with self.reaching():
            try:
                names = self.fs.ls(f"{self.root}/{log}", detail=False)
            except FileNotFoundError:
                self._check_bucket()
                return []
        found = (re.fullmatch(r"(\d{9})\.parquet", name.rsplit("/", 1)[-1]) for name in names)
        numbers = sorted(int(each[1]) for each in found if each)
        if numbers != list(range(1, len(numbers) + 1)):
            missing = min(set(range(1, numbers[-1])) - set(numbers))
            raise WarehouseError(
                f"The lake {self.url} is damaged: {log}/{missing:09}.parquet is missing. Put it "
                "back from a copy, or sync into another bucket URL."
            )
        return numbers

    def begin(self, pipeline: "Pipeline") -> None:
        """Lets dlt make the folder of all: it stops at one that is there and that it did not make.

        To be called before anything is written. Where it was called before it changes nothing.
        """
        with self.reaching(), pipeline.destination_client() as client:
            client.initialize_storage()

    def _check_bucket(self) -> None:
        """Refuses a bucket that is not there: dlt would make one, of a name that was misspelt."""
        bucket = self.root.strip("/").split("/")[0]
        is_made = self.is_local or self.url.startswith("memory:")
        if not (is_made or self.fs.exists(bucket)):
            raise WarehouseMisplaced(
                f"There is no bucket {bucket}: make it, or correct {self.url}."
            )

    def read_log(self, log: str, numbers: Iterable[int]) -> pa.Table:
        """What some files of a log say."""
        paths = [self.path_of(log, number) for number in numbers]
        with self.reaching():
            # All at once, as far as the store can; of one it would give the bytes alone.
            read = self.fs.cat(paths) if len(paths) > 1 else {paths[0]: self.fs.cat_file(paths[0])}
            texts = (read[path] for path in paths)
            return pa.concat_tables(parquet.ParquetFile(io.BytesIO(text)).read() for text in texts)

    def create(self, log: str, number: int, rows: pa.Table) -> bool:
        """Writes a file of a log, whole; False where there is one of that number already."""
        return self._create(self.path_of(log, number), _as_parquet(rows))

    def add_rows(self, folder: str, rows: pa.Table) -> tuple[str, bool]:
        """Writes rows into a file that is named after what it holds.

        Returns:
            Its path, as a commit names it, and whether it was not there already.
        """
        data = _as_parquet(rows)
        path = f"{folder}/{hashlib.sha256(data).hexdigest()[:32]}.parquet"
        full = f"{self.root}/{path}"
        with self.reaching():
            is_there = self.fs.exists(full)
        return path, not is_there and self._create(full, data)

    def _create(self, path: str, data: bytes) -> bool:
        """Writes a file, whole; False where there is one already."""
        with self.reaching():
            try:
                if self.is_local:
                    self._create_here(path, data)
                else:
                    self.fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            self.fs.invalidate_cache()
        return True

    @staticmethod
    def _create_here(path: str, data: bytes) -> None:
        """A bucket takes a file whole or not at all; a folder does when it is linked there."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            target.hardlink_to(part)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def known_to(self, connection: "duckdb.DuckDBPyConnection") -> Iterator[None]:
        """Lets DuckDB read the files, by the same credentials and without an extension."""
        if self.is_local:
            yield
            return
        connection.register_filesystem(self.fs)
        try:
            yield
        finally:
            protocol = self.fs.protocol
            connection.unregister_filesystem(protocol if isinstance(protocol, str) else protocol[0])

    def path_of(self, log: str, number: int) -> str:
        """Where a file of a log is."""
        return f"{self.root}/{log}/{number:09}.parquet"

    def address_of(self, path: str) -> str:
        """What DuckDB calls a file that a commit names."""
        full = f"{self.root}/{path}"
        return full if self.is_local else self.fs.unstrip_protocol(full)


def _as_parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(rows, sink, compression="zstd")
    return sink.getvalue()
