"""One command writes to a PostgreSQL warehouse at a time, from whichever machine.

The server holds the lock for the session, and drops it with that, however it ends. Who only reads
never meets it.
"""

import re
from datetime import UTC
from types import TracebackType
from typing import Self

from m3ter_sync.warehouse.lock import Holder, WarehouseLock
from m3ter_sync.warehouse.postgres import APPLICATION, PostgresConnection, connect, name_process

# Advisory locks are numbers; these two stand for m3ter-sync and its raw schema in a database.
_KEYS = (0x6D337465, 1)
_NAME = re.compile(rf"{APPLICATION}/(\w+)/(\d+)@(.*)")
_HOLDER = """
select activity.application_name, activity.backend_start
from pg_locks as locks
left join pg_stat_activity as activity on locks.pid = activity.pid
where locks.locktype = 'advisory' and locks.granted
    and locks.database = (select oid from pg_database where datname = current_database())
    and locks.classid = %s and locks.objid = %s and locks.objsubid = 2
"""


class LockTaken(Exception):
    """Another session holds the lock."""

    def __init__(self, holder: Holder) -> None:
        super().__init__("the lock is taken")
        self.holder = holder


class PostgresLock:
    """The lock of a database, and the lock of the folder that is used beside it."""

    def __init__(self, beside: WarehouseLock, command: str) -> None:
        """Takes the lock of the database, or gives up at once; that of the folder is held.

        Raises:
            LockTaken: somebody holds it; says who.
            WarehouseError: the server refuses, or does not answer.
        """
        self._beside = beside
        self._connection = connect(purpose=name_process(command))
        try:
            self._connection.check_rights()
            row = self._connection.run("select pg_try_advisory_lock(%s, %s)", _KEYS).fetchone()
            if not row or not row[0]:
                raise LockTaken(_read_holder(self._connection) or Holder())
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def check(self) -> None:
        """Makes sure that the lock is still held, before anything is written.

        Raises:
            WarehouseError: the session was lost, and the lock with it.
        """
        self._connection.run("select 1")

    def release(self) -> None:
        """Lets others write."""
        self._connection.close()
        self._beside.release()


def read_holder() -> Holder | None:
    """Who is writing to the warehouse now; None: nobody."""
    with connect(read_only=True) as connection:
        return _read_holder(connection)


def _read_holder(connection: PostgresConnection) -> Holder | None:
    row = connection.run(_HOLDER, _KEYS).fetchone()
    if row is None:
        return None
    name, since = row
    # The server shows nothing of another role's session.
    found = _NAME.fullmatch(name or "")
    if found is None or since is None:
        return Holder()
    command, pid, host = found.groups()
    return Holder(command, host, int(pid), since=since.astimezone(UTC))
