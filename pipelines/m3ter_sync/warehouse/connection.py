"""What a warehouse is asked and written through, whichever engine holds it."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import pyarrow as pa

    from m3ter_sync.warehouse.postgres import PostgresConnection


class Result(Protocol):
    """The rows that a statement found."""

    @property
    def description(self) -> Sequence[tuple[Any, ...]] | None:
        """A tuple a column, of which the first item is its name."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row; None after the last."""

    def fetchmany(self, size: int = ..., /) -> list[tuple[Any, ...]]:
        """The next rows, at most so many."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""

    def to_arrow_table(self) -> "pa.Table":
        """All rows that are left, as an Arrow table."""


class Connection(Protocol):
    """A warehouse that is open.

    DuckDB's own connection is one. Others take DuckDB's SQL too, and put it into their own.
    """

    def __enter__(self) -> Self:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Closes it."""

    def execute(self, statement: Any, parameters: Any = ..., /) -> Result:
        """Runs a statement; `?` stands for a parameter."""

    def register(self, name: str, rows: Any, /) -> Any:
        """Lets statements read an Arrow table under a name."""

    def unregister(self, name: str, /) -> Any:
        """Forgets it."""

    def close(self) -> None:
        """Ends it; what is not committed is lost."""


def as_postgres(connection: Connection) -> "PostgresConnection":
    """The connection, which is one to PostgreSQL, so that it can be asked in its own SQL."""
    from m3ter_sync.warehouse.postgres import PostgresConnection

    if not isinstance(connection, PostgresConnection):
        raise TypeError(f"{type(connection).__name__} is no connection to PostgreSQL")
    return connection
