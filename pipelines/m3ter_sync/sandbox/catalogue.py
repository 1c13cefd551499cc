"""The names in the sandbox's world: event types, customers, notification rules."""

from typing import NamedTuple

_CONFIGURED = (
    "account", "accountplan", "aggregation", "alert", "balance", "commitment",
    "compoundaggregation", "contract", "counter", "counteradjustment", "counterpricing",
    "creditreason", "currency", "customfield", "debitreason", "lookuptable", "meter", "metergroup",
    "organization", "organizationconfig", "plan", "plangroup", "plangrouplink", "plantemplate",
    "pricing", "pricingband", "product", "resourcegroup", "statementdefinition", "transactiontype",
)  # fmt: skip
_BILLED = ("bill", "billjob", "statement")
_FAILURES = (
    "integration.validation.error",
    "integration.missingaccountmapping.error",
    "integration.authentication.error",
    "integration.perform.error",
    "integration.disabled.error",
    "ingest.validation.failure",
    "dataexport.job.failure",
)

EVENT_TYPES: tuple[str, ...] = (
    *(
        f"configuration.{name}.{verb}"
        for name in _CONFIGURED
        for verb in ("created", "deleted", "updated")
    ),
    *(f"billing.{name}.{verb}" for name in _BILLED for verb in ("created", "deleted", "updated")),
    *_FAILURES,
    "scheduled.bill.endDateEvent",
    "scheduled.contract.renewalDue",
    "scheduled.commitment.endsInThirtyDays",
)
"""m3ter's 106 system types and three of the organization's own, named as m3ter names them."""

ACCOUNT_FIRST_NAMES = (
    "acorn", "beacon", "cobalt", "delta", "ember", "falcon", "granite", "harbor", "indigo",
    "juniper", "keystone", "lumen", "meridian", "northwind", "orchid", "pinnacle", "quartz",
    "redwood", "summit", "tidal", "umbra", "vertex", "willow", "zephyr",
)  # fmt: skip
ACCOUNT_LAST_NAMES = (
    "analytics", "biotech", "cloud", "devices", "energy", "foods", "gaming", "health", "insurance",
    "logistics", "media", "networks", "payments", "robotics", "security", "systems", "transport",
)  # fmt: skip


class Rule(NamedTuple):
    """A notification as somebody set it up; without a calculation it always fires."""

    kind: str
    event_name: str | None
    code: str
    name: str
    calculation: str | None = None


RULES: tuple[Rule, ...] = (
    Rule("delivering", "billing.bill.created", "bill_created", "New bill"),
    Rule(
        "delivering",
        "integration.authentication.error",
        "integration_login",
        "Integration cannot log in",
    ),
    Rule(
        "inactive",
        "integration.missingaccountmapping.error",
        "account_unmapped",
        "Account without a mapping",
    ),
    Rule("unlinked", "dataexport.job.failure", "export_failed", "Data export failed"),
    Rule(
        "delivering",
        "ingest.validation.failure",
        "ingest_rejected",
        "Usage was rejected",
        "type != 'DuplicateUid'",
    ),
    Rule(
        "blocked_disabled",
        "integration.validation.error",
        "integration_invalid",
        "Integration found invalid data",
    ),
    Rule(
        "failing",
        "integration.perform.error",
        "integration_failed",
        "Integration could not deliver",
    ),
    Rule(
        "delivering",
        "billing.bill.updated",
        "bill_approved",
        "Bill approved",
        "new.status == 'APPROVED' AND previous.status == 'PENDING'",
    ),
    Rule("silent", "configuration.contract.deleted", "contract_deleted", "Contract removed"),
    Rule("delivering", "configuration.account.created", "account_created", "New account"),
    Rule(
        "orphaned_unknown",
        "configuration.usagealert.created",
        "usage_alert",
        "Usage alert raised",
        "new.threshold > 80",
    ),
    Rule(
        "delivering",
        "configuration.commitment.updated",
        "commitment_90",
        "Prepayment nearly used",
        "new.amountSpent >= new.amount * 0.9 AND previous.amountSpent < new.amount * 0.9",
    ),
    Rule("blocked_unauthorized", "configuration.plan.updated", "plan_changed", "Plan changed"),
    Rule(
        "delivering",
        "configuration.accountplan.created",
        "plan_attached",
        "Plan attached to an account",
    ),
    Rule("inactive", "configuration.product.deleted", "product_deleted", "Product removed"),
    Rule("delivering", "configuration.pricing.updated", "pricing_changed", "Price changed"),
    Rule(
        "unlinked",
        "configuration.organizationconfig.updated",
        "settings_changed",
        "Organization settings changed",
    ),
    Rule("delivering", "billing.bill.deleted", "bill_deleted", "Bill deleted"),
    Rule("silent", "configuration.meter.deleted", "meter_deleted", "Meter removed"),
    Rule("orphaned_none", None, "draft_rule", "Draft: high spend", "new.billTotal > 100000"),
    Rule(
        "delivering",
        "configuration.account.updated",
        "account_changed",
        "Account changed",
        "new.currency != previous.currency",
    ),
    Rule("delivering", "configuration.commitment.created", "commitment_created", "New prepayment"),
    Rule(
        "inactive",
        "configuration.alert.updated",
        "alert_changed",
        "Alert changed",
        "new.enabled == false",
    ),
    Rule("delivering", "configuration.contract.created", "contract_created", "New contract"),
    Rule("silent", "configuration.currency.updated", "currency_changed", "Currency changed"),
    Rule("delivering", "scheduled.bill.endDateEvent", "bill_period_ends", "Billing period ends"),
    Rule(
        "failing",
        "configuration.counter.updated",
        "seats_changed",
        "Seat count changed",
        "new.value > previous.value",
    ),
    Rule(
        "delivering",
        "configuration.balance.updated",
        "balance_low",
        "Balance is low",
        "new.amount < 500 AND previous.amount >= 500",
    ),
    Rule(
        "blocked_disabled",
        "configuration.plantemplate.updated",
        "template_changed",
        "Plan template changed",
    ),
    Rule(
        "delivering",
        "billing.billjob.updated",
        "bill_job_failed",
        "Bill job ended badly",
        "new.status == 'FAILED'",
    ),
    Rule(
        "unlinked",
        "configuration.aggregation.updated",
        "aggregation_changed",
        "Aggregation changed",
    ),
    Rule(
        "delivering",
        "configuration.contract.updated",
        "contract_changed",
        "Contract changed",
        "new.endDate != previous.endDate",
    ),
    Rule("inactive", "billing.statement.created", "statement_ready", "Statement is ready"),
    Rule("delivering", "scheduled.contract.renewalDue", "renewal_due", "Contract renewal is due"),
    Rule(
        "blocked_unauthorized",
        "configuration.customfield.updated",
        "custom_field_changed",
        "Custom field changed",
    ),
    Rule("delivering", "billing.bill.created", "large_bill", "Large bill", "new.billTotal > 50000"),
    Rule("silent", "configuration.debitreason.created", "debit_reason_created", "New debit reason"),
    Rule(
        "delivering",
        "configuration.accountplan.deleted",
        "plan_detached",
        "Plan taken off an account",
    ),
    Rule("orphaned_unknown", "billing.invoice.sent", "invoice_sent", "Invoice sent (old name)"),
    Rule(
        "delivering",
        "billing.bill.updated",
        "bill_recalculated",
        "Bill recalculated",
        "new.billTotal != previous.billTotal",
    ),
)
"""Forty rules; a world with more starts again from the first."""
