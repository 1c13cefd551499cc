"""The tables of the source: which API field becomes which column, of what type, and what it means.

Everything else that needs a column's name or type (dlt's hints, the Arrow schema, the parsing)
takes it from here. Facts: m3ter's API reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

if TYPE_CHECKING:
    from dlt.common.schema.typing import TColumnSchema

ColumnType = Literal["text", "bigint", "bool", "timestamp", "date", "decimal"]

# Wide enough for any amount in any currency; nine decimals hold what a usage price can need.
DECIMAL_PRECISION, DECIMAL_SCALE = 38, 9

ARROW_TYPES: Mapping[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "decimal": pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name here, the API's name for it, its type and its meaning."""

    name: str
    field: str
    type: ColumnType
    description: str
    is_required: bool = False

    def to_arrow(self) -> "pa.Field[Any]":
        """The column in an Arrow schema."""
        return pa.field(self.name, ARROW_TYPES[self.type], nullable=not self.is_required)

    def to_hint(self) -> "TColumnSchema":
        """The column as dlt describes it."""
        hint: TColumnSchema = {
            "name": self.name,
            "data_type": self.type,
            "nullable": not self.is_required,
            "description": self.description,
        }
        if self.type == "timestamp":
            hint["timezone"] = True
            hint["precision"] = 6
        if self.type == "decimal":
            hint["precision"] = DECIMAL_PRECISION
            hint["scale"] = DECIMAL_SCALE
        return hint


@dataclass(frozen=True)
class Table:
    """One table: its columns, its key, and whether fields that are not named here are loaded."""

    name: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ("id",)
    loads_unknown_fields: bool = True

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema of the columns that are named here."""
        return pa.schema([column.to_arrow() for column in self.columns])

    @cached_property
    def fields(self) -> frozenset[str]:
        """The API's names of the columns."""
        return frozenset(column.field for column in self.columns)

    def hints(self) -> dict[str, "TColumnSchema"]:
        """The columns as dlt describes them, by name."""
        return {column.name: column.to_hint() for column in self.columns}


def _text(name: str, field: str, description: str, **more: Any) -> Column:
    return Column(name, field, "text", description, **more)


def _timestamp(name: str, field: str, description: str, **more: Any) -> Column:
    return Column(name, field, "timestamp", description, **more)


def _id(of: str) -> Column:
    return _text("id", "id", f"The {of}'s id, a UUID.", is_required=True)


def _audit(of: str) -> tuple[Column, ...]:
    return (
        Column("version", "version", "bigint", f"Rises with every change of the {of}."),
        _timestamp("dt_created", "dtCreated", f"When the {of} was created."),
        _timestamp("dt_last_modified", "dtLastModified", f"When the {of} last changed."),
        _text("created_by", "createdBy", f"Who created the {of}: an id."),
        _text("last_modified_by", "lastModifiedBy", f"Who last changed the {of}: an id."),
    )


INTEGRATION_RUNS = Table(
    name="integration_runs",
    description="Each push of a bill or a notification to an outside system, as it is now.",
    columns=(
        _id("run"),
        _text("entity_type", "entityType", "What was pushed: Bill or Notification."),
        _text("entity_id", "entityId", "The pushed bill's or notification configuration's id."),
        _text("parent_integration_run_id", "parentIntegrationRunId", "The run that this retries."),
        _text("destination", "destination", "The kind of system it was pushed to."),
        _text("destination_id", "destinationId", "The destination's id, a UUID."),
        _text("status", "status", "How the run stands; see status_class."),
        _text("error", "error", "What went wrong, in the destination's words."),
        _text("url", "url", "Where it landed in the destination."),
        _text("external_id", "externalId", "Its id in the destination."),
        _timestamp("dt_started", "dtStarted", "When the run started; null while it waits."),
        _timestamp("dt_completed", "dtCompleted", "When the run ended."),
        *_audit("run"),
    ),
)

NOTIFICATION_CONFIGURATIONS = Table(
    name="notification_configurations",
    description="What the organization wants to be told of, with its history.",
    columns=(
        _id("configuration"),
        _text("code", "code", "The configuration's code."),
        _text("name", "name", "The configuration's name."),
        _text("description", "description", "What it is for."),
        _text("event_name", "eventName", "The event type it listens to."),
        _text("calculation", "calculation", "The condition on which it fires."),
        Column("active", "active", "bool", "Whether it is switched on."),
        Column("always_fire_event", "alwaysFireEvent", "bool", "Whether it fires on every event."),
        *_audit("configuration"),
    ),
)

INTEGRATION_CONFIGURATIONS = Table(
    name="integration_configurations",
    description="What is linked to which destination, with its history; without credentials.",
    # The API serves credentials beside these fields, and may add others: only what is named
    # here is loaded (docs/decisions/0003-credentials-are-never-loaded.md).
    loads_unknown_fields=False,
    columns=(
        _id("link"),
        _text("name", "name", "The link's name."),
        _text("entity_type", "entityType", "What is linked: Bill, Notification, …"),
        _text("entity_id", "entityId", "For a notification, its configuration's id."),
        _text("destination", "destination", "The kind of system it is linked to."),
        _text("destination_id", "destinationId", "The destination's id, a UUID."),
        _text("trigger_type", "triggerType", "What sets off a run."),
        Column("enabled", "enabled", "bool", "Whether the link is switched on."),
        Column("authorized", "authorized", "bool", "Whether the destination lets us in."),
        *_audit("link"),
    ),
)

BILLS = Table(
    name="bills",
    description="The bills, without their line items.",
    columns=(
        _id("bill"),
        _text("account_id", "accountId", "The billed account's id."),
        _text("account_code", "accountCode", "The billed account's code."),
        _text("status", "status", "PENDING or APPROVED."),
        _text("currency", "currency", "The ISO 4217 code of the bill's currency."),
        Column("bill_total", "billTotal", "decimal", "The total, in the bill's currency."),
        Column("locked", "locked", "bool", "Whether the bill can no longer be recalculated."),
        Column("bill_date", "billDate", "date", "The bill's date."),
        Column("start_date", "startDate", "date", "The first day of the billed period."),
        Column("end_date", "endDate", "date", "The day on which the billed period ends."),
        Column("due_date", "dueDate", "date", "The day on which payment is due."),
        _text("external_invoice_reference", "externalInvoiceReference", "Its invoice elsewhere."),
        _text("sequential_invoice_number", "sequentialInvoiceNumber", "Its invoice number."),
        _timestamp("dt_approved", "dtApproved", "When the bill was approved."),
        *_audit("bill"),
    ),
)

EVENT_TYPES = Table(
    name="event_types",
    description="The event types that the organization can listen to, with their history.",
    primary_key=("name",),
    columns=(_text("name", "name", "The event type's name.", is_required=True),),
)

ENTITIES = Table(
    name="entities",
    description="When each entity's runs were last listed to the end, and the bills as a whole.",
    primary_key=("entity_type", "entity_id"),
    columns=(
        _text(
            "entity_type",
            "entity_type",
            "Bill or Notification; Organization for the listing of all bills.",
            is_required=True,
        ),
        _text("entity_id", "entity_id", "The entity's id.", is_required=True),
        _timestamp(
            "listed_at", "listed_at", "When its last complete listing began.", is_required=True
        ),
        _timestamp("swept_at", "swept_at", "When its last listing from the first run on began."),
        Column("is_gone", "is_gone", "bool", "Whether the API answered that there is none."),
    ),
)

REJECTED_ROWS = Table(
    name="rejected_rows",
    description="What the API served that breaks its contract, with the reason and the source.",
    primary_key=("rejected_id",),
    columns=(
        _text(
            "rejected_id", "rejected_id", "A digest of the table and the source.", is_required=True
        ),
        _text("table_name", "table_name", "The table that it was meant for.", is_required=True),
        _text("entity_type", "entity_type", "The entity that was being listed, if any."),
        _text("entity_id", "entity_id", "Its id."),
        _text("reason", "reason", "What is wrong with the row.", is_required=True),
        _text("source", "source", "The row as the API served it, JSON.", is_required=True),
        _timestamp("rejected_at", "rejected_at", "When it was first seen.", is_required=True),
    ),
)

# A listing of these is complete, so what it lacks is deleted: they keep their history.
SNAPSHOTS = (NOTIFICATION_CONFIGURATIONS, INTEGRATION_CONFIGURATIONS, EVENT_TYPES)
TABLES = (INTEGRATION_RUNS, *SNAPSHOTS, BILLS, ENTITIES, REJECTED_ROWS)
