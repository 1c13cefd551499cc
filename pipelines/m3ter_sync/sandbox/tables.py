"""Where the sandbox keeps its objects: dicts that stay in serving order by themselves."""

from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
"""One object as the API serves it: camelCase keys, JSON values."""

Key = tuple[datetime, datetime, str]
"""Where an object stands in a listing."""

NEVER = datetime.max.replace(tzinfo=UTC)


def parse_instant(text: str) -> datetime:
    """Reads ISO 8601 of any precision; without an offset it is UTC.

    Raises:
        ValueError: the text is no date.
    """
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


class Table(dict[str, Row]):
    """Objects by id, listed by `dtCreated`.

    Rows are plain dicts, to be changed at will under the world's lock; only `dtCreated` (and a
    run's entity) must stay as it was when the row was put in, or the row be put in again.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        super().__init__()
        self._keys: list[Key] | None = None
        for row in rows:
            self[row["id"]] = row

    def __setitem__(self, object_id: str, row: Row) -> None:
        self._keys = None
        super().__setitem__(object_id, row)

    def __delitem__(self, object_id: str) -> None:
        self._keys = None
        super().__delitem__(object_id)

    # dict's own versions of these go past __setitem__ and __delitem__.
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear
    update = MutableMapping.update
    setdefault = MutableMapping.setdefault

    def keys_in_order(self) -> list[Key]:
        """Every object's place, the oldest first."""
        if self._keys is None:
            self._keys = sorted(self.place(row) for row in self.values())
        return self._keys

    def place(self, row: Row) -> Key:
        """Where one object stands in the listing."""
        created = parse_instant(row["dtCreated"]) if row.get("dtCreated") else NEVER
        return created, created, row["id"]


class RunTable(Table):
    """Integration runs by id, and by the entity whose runs they are."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._by_entity: dict[tuple[str, str], dict[str, Row]] = {}
        super().__init__(rows)

    def __setitem__(self, object_id: str, row: Row) -> None:
        if object_id in self:
            del self[object_id]
        entity = (row["entityType"], row["entityId"])
        self._by_entity.setdefault(entity, {})[object_id] = row
        super().__setitem__(object_id, row)

    def __delitem__(self, object_id: str) -> None:
        row = self[object_id]
        del self._by_entity[row["entityType"], row["entityId"]][object_id]
        super().__delitem__(object_id)

    def of(self, entity_type: str, entity_id: str) -> Iterable[Row]:
        """The runs of one entity, in no particular order."""
        return self._by_entity.get((entity_type, entity_id), {}).values()

    def place(self, row: Row) -> Key:
        """By start; the ones that never started come last, by creation."""
        started = row.get("dtStarted")
        created = row.get("dtCreated")
        return (
            parse_instant(started) if started else NEVER,
            parse_instant(created) if created else NEVER,
            row["id"],
        )
