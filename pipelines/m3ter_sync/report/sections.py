"""What a section of the page is made of; one template draws them all."""

from dataclasses import dataclass, field

from markupsafe import Markup

from m3ter_sync.report.charts import Chart
from m3ter_sync.report.tables import Cell, Column, Table

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
    table_id: str


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
    """What is sent to where: NETSUITE bills."""
    entities = ENTITY_TYPES.get(entity_type, entity_type or "(no type)")
    return f"{destination or '(no destination)'} {entities}"


def link(table_id: str, words: str, search: str = "") -> Markup:
    """A link to a table, which shows only the rows with some words in them."""
    if not search:
        return Markup('<a href="#{}">{}</a>').format(table_id, words)
    return Markup('<a href="#{}" data-search="{}">{}</a>').format(table_id, search, words)
