# ruff: noqa: E501 - a destination's words stand on one line each
"""The ways in which a destination fails, in the words that its users know.

Texts carry ids, numbers, addresses and dates on purpose: grouping errors means masking those.
"""

from typing import NamedTuple

from .draw import Draw, instant_of


class Failure(NamedTuple):
    """One way to fail; one that passes by itself is tried again."""

    status: str
    text: str
    weight: int
    passes: bool = False


class Destination(NamedTuple):
    """What is particular to one system that bills and notifications go to."""

    name: str
    failure_rate: float
    seconds: int
    external_id: str
    url: str
    failures: tuple[Failure, ...]


_UNMAPPED = Failure(
    "ERROR",
    "No external mapping found for Account {uuid} ({account}). Create one and run the integration again.",
    4,
)

_NETSUITE = Destination(
    "NETSUITE", 0.035, 14, "{number}", "https://4820117.app.netsuite.com/app/accounting/transactions/custinvc.nl?id={number}",
    (
        _UNMAPPED,
        Failure("ACCOUNTING_PERIOD_CLOSED", "Accounting period '{month}' is closed: a transaction dated {date} cannot be posted.", 4),
        Failure("AUTH_FAILED", "INVALID_LOGIN_ATTEMPT: the access token issued on {date} has expired.", 1),
        Failure("ERROR", "INVALID_KEY_OR_REF: Invalid item reference key {small} for subsidiary {digit}.", 3),
        Failure("TIMEOUT_LIMIT_EXCEEDED", "Read timed out after 120000 ms: https://4820117.suitetalk.api.netsuite.com/services/rest/record/v1/invoice/{number}", 3, True),
        Failure("ERROR", "SSS_REQUEST_LIMIT_EXCEEDED: {small} concurrent requests, the account allows 15.", 5, True),
    ),
)  # fmt: skip
_STRIPE = Destination(
    "STRIPE", 0.012, 4, "in_1Q{hex}", "https://dashboard.stripe.com/invoices/in_1Q{hex}",
    (
        Failure("ERROR", "No such customer: 'cus_{hex}' (request req_{hex}).", 4),
        Failure("ERROR", "Invoice in_1Q{hex} is finalized and can no longer be changed.", 3),
        Failure("ERROR", "Amount 1{number}00 in '{account}' is above the maximum of 99999999.", 1),
        Failure("TIMEOUT_LIMIT_EXCEEDED", "Connection to https://api.stripe.com/v1/invoiceitems timed out after 80 s (req_{hex}).", 3, True),
        Failure("ERROR", "An unknown error occurred at Stripe (503), request req_{hex}.", 3, True),
    ),
)  # fmt: skip
_SALESFORCE = Destination(
    "SALESFORCE", 0.045, 7, "a0B5g{hex}", "https://meridian.my.salesforce.com/a0B5g{hex}",
    (
        _UNMAPPED,
        Failure("ERROR", "FIELD_CUSTOM_VALIDATION_EXCEPTION: Opportunity 0065g{hex} has no close date.", 4),
        Failure("ERROR", "STRING_TOO_LONG: Description: data value too large (max length=255, was 3{digit}{digit}).", 2),
        Failure("AUTH_FAILED", "INVALID_SESSION_ID: session expired at {instant}.", 1),
        Failure("ERROR", "UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to record a0B5g{hex}.", 6, True),
    ),
)  # fmt: skip
_XERO = Destination(
    "XERO", 0.025, 5, "{uuid}", "https://go.xero.com/AccountsReceivable/View.aspx?InvoiceID={uuid}",
    (
        _UNMAPPED,
        Failure("ACCOUNTING_PERIOD_CLOSED", "The document date {date} is before the lock date of the organisation.", 3),
        Failure("ERROR", "Account code '{small}' is not a valid code for this document.", 3),
        Failure("ERROR", "429 from https://api.xero.com/api.xro/2.0/Invoices/{uuid}: daily limit of 5000 calls reached.", 4, True),
    ),
)  # fmt: skip
_WEBHOOK = Destination(
    "WEBHOOK", 0.02, 1, "", "",
    (
        Failure("ERROR", "POST https://hooks.meridian.example/m3ter/{hex} answered 404 Not Found.", 2),
        Failure("AUTH_FAILED", "POST https://hooks.meridian.example/m3ter/{hex} answered 401: signature refused at {instant}.", 1),
        Failure("ERROR", "POST https://hooks.meridian.example/m3ter/{hex} answered 502 Bad Gateway after {small} ms.", 5, True),
        Failure("TIMEOUT_LIMIT_EXCEEDED", "No answer from hooks.meridian.example within 10000 ms (delivery {uuid}).", 4, True),
    ),
)  # fmt: skip

DESTINATIONS: dict[str, Destination] = {
    each.name: each
    for each in (
        _NETSUITE,
        _STRIPE,
        _SALESFORCE,
        _XERO,
        _WEBHOOK,
        # People try things out here, so more fails.
        _STRIPE._replace(
            name="STRIPE_TEST",
            failure_rate=0.14,
            url="https://dashboard.stripe.com/test/invoices/in_1Q{hex}",
        ),
    )
}

EXPIRED = Failure(
    "AUTH_FAILED", "INVALID_LOGIN_ATTEMPT: the access token issued on {date} has expired.", 1
)
GONE = Failure(
    "ERROR",
    "POST https://hooks.meridian.example/m3ter/{hex} answered 410 Gone (delivery {uuid}).",
    1,
)
REFUSED = Failure(
    "AUTH_FAILED", "The credentials of webhook {uuid} are no longer authorized (since {date}).", 1
)
DISABLED = Failure("DISABLED", "The integration is disabled.", 1)
PAID = Failure("INVOICE_ALREADY_PAID", "Invoice {number} was paid on {date}; it is not updated.", 1)


def pick_failure(draw: Draw, destination: Destination) -> Failure:
    """One of the destination's failures, the usual ones more often."""
    failures = destination.failures
    return draw.random.choices(failures, [failure.weight for failure in failures])[0]


def write_text(draw: Draw, text: str, at: int, account: str) -> str:
    """Fills a text in with made-up ids and the dates around an instant."""
    instant = instant_of(at)
    return text.format(
        account=account,
        uuid=draw.uuid(),
        hex=draw.uuid()[-12:],
        number=draw.between(100_000, 9_999_999),
        small=draw.between(20, 900),
        digit=draw.between(2, 9),
        date=instant.date().isoformat(),
        month=f"{instant:%b %Y}",
        instant=draw.stamp(at),
    )
