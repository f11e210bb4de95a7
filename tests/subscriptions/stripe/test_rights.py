"""The rights of a restricted key that docs/stripe.md asks for are those that our calls need: no fewer, and no more."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
#: A call of Stripe's library: `v1.customers.tax_ids.list(`.
CALL = re.compile(r"\bv1\.((?:[a-z_]+\.)+)([a-z_]+)\b")
READS = {"list", "retrieve"}
#: What the dashboard calls the right for what begins so.
RIGHTS = {
    "billing_portal": "Customer portal",
    "charges": "Charges and refunds",
    "checkout": "Checkout sessions",
    "credit_notes": "Credit notes",
    "customers": "Customers",
    "disputes": "Disputes",
    "events": "Events",
    "invoice_payments": "Invoices",
    "invoices": "Invoices",
    "payment_intents": "PaymentIntents",
    "payment_methods": "Payment methods",
    "prices": "Prices",
    "refunds": "Charges and refunds",
    "setup_intents": "SetupIntents",
    "subscription_schedules": "Subscriptions",
    "subscriptions": "Subscriptions",
}
ROW = re.compile(r"^\| ([^|]+) \| (read|write) \|", re.MULTILINE)


def needed() -> dict[str, str]:
    """By right, what our calls do with it. A product is read with its price."""
    found = {"Products": "read"}
    for file in (PROJECT / "subscriptions").rglob("*.py"):
        for resource, verb in CALL.findall(file.read_text()):
            right = RIGHTS[resource.partition(".")[0]]
            if verb not in READS or right not in found:
                found[right] = "read" if verb in READS else "write"
    return found


def documented() -> dict[str, str]:
    table = ROW.findall((PROJECT / "docs" / "stripe.md").read_text())
    return {
        right.strip(): level for rights, level in table for right in rights.replace("(with schedules)", "").split(",")
    }


def test_the_rights_that_we_ask_for_are_those_that_our_calls_need() -> None:
    assert documented() == needed()
