"""What a section of the page is made of; one template draws them all."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from m3ter_sync.report.charts import Chart
from m3ter_sync.report.tables import Cell, Column, Table
from m3ter_sync.report.words import clip, join_words

# What a delivery's class and an entity's type are called on the page, and the tone of each.
CLASSES: dict[str | None, tuple[str, str]] = {
    "succeeded": ("delivered", "good"),
    "failed": ("failed", "bad"),
    "blocked": ("blocked", "bad"),
    "superseded": ("superseded", "muted"),
    "in_flight": ("in flight", "warn"),
    "unknown": ("unknown", "warn"),
}
ENTITY_TYPES: dict[str | None, str] = {"Bill": "bills", "Notification": "notifications"}

# By a column's heading, the words of which a row must have one there.
Only = Mapping[str, Sequence[str]]

# What turns the direction of text round: embeddings, overrides, isolates and their ends.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_NAME_LENGTH = 60

SENDS = Column(
    "Sends",
    lambda row: Cell(
        ENTITY_TYPES.get(row["entity_type"], str(row["entity_type"])), row["entity_type"]
    ),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, large, that links to its rows."""

    label: str
    figure: str
    detail: str
    tone: str
    link: Markup


@dataclass(frozen=True, slots=True)
class Figures:
    """Charts side by side, under one heading."""

    title: str
    note: str
    charts: list[Chart]
    is_wide: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """A question, its answer in a sentence or two, and what it rests on."""

    id: str
    title: str
    # What the menu calls it.
    short: str
    answer: Markup
    tone: str = ""
    tiles: list[Tile] = field(default_factory=list)
    figures: list[Figures] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    remarks: list[Markup] = field(default_factory=list)


def name_lane(entity_type: str | None, destination: str | None) -> str:
    """What is sent to where: NETSUITE bills; it turns no text round that it stands in."""
    entities = ENTITY_TYPES.get(entity_type, entity_type or "(no type)")
    lane = f"{clip(destination or '(no destination)', _NAME_LENGTH)} {entities}"
    # A chart's text cannot be isolated from what stands beside it, as <bdi> does elsewhere.
    return _DIRECTIONS.sub(lambda found: f"<U+{ord(found[0]):04X}>", lane)


def isolate(text: str) -> Markup:
    """A text of others, so that its direction does not turn round what stands beside it."""
    return Markup("<bdi>{}</bdi>").format(clip(text))


def join_names(names: Sequence[str]) -> Markup:
    """A, B and C; of many: A, B, C and 7 more."""
    isolated = [Markup("<bdi>{}</bdi>").format(clip(name, 80)) for name in names]
    return Markup(join_words([*isolated]))  # noqa: S704 - each is escaped


def link(table_id: str, words: str, only: Only | None = None) -> Markup:
    """A link to a table, or to those of its rows that have certain words in certain columns."""
    return Markup("<a {}>{}</a>").format(address(table_id, only), words)


def address(table_id: str, only: Only | None = None) -> Markup:
    """The attributes of such a link."""
    if not only:
        return Markup('href="#{}"').format(table_id)
    return Markup('href="#{}" data-only="{}"').format(table_id, json.dumps(only))
