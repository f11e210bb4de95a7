"""Redaction jobs: a public preview at Stripe, known from its documentation alone (docs.stripe.com/privacy/redaction).

Not in the description of the API's version; a job is checked, waits to be run, and takes its time.
"""

from typing import TYPE_CHECKING

from tests.fakes.stripe.refusals import invalid
from tests.fakes.stripe.spec import Json
from tests.fakes.stripe.state import DAY, HOUR
from tests.fakes.stripe.subscriptions import OVER

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe

MOST = 10
YOUNG = 90 * DAY
CHECKED_AFTER, DONE_AFTER = 60, HOUR
REDACTED = "[redacted]"


def create(stripe: "FakeStripe", asked: Json) -> Json:
    named = asked.get("objects") or {}
    customers = named.get("customers") or []
    customers = list(customers.values()) if isinstance(customers, dict) else customers
    if not customers:
        raise invalid("Missing required param: objects.", "objects", "parameter_missing")
    if len(customers) > MOST:
        raise invalid(f"At most {MOST} objects can be redacted in one job.", "objects")
    for id in customers:
        if not stripe.customers.get(id):
            raise invalid(f"No such customer: '{id}'", "objects[customers]", "resource_missing")
    return stripe.add(
        {
            "id": stripe.new_id("prj"),
            "object": "privacy.redaction_job",
            "created": stripe._now,
            "livemode": stripe.livemode,
            "objects": {"customers": customers},
            "status": "validating",
            "validation_behavior": asked.get("validation_behavior", "error"),
        }
    )


def look(stripe: "FakeStripe", job: Json) -> Json:
    """How far it has come by now."""
    if job["status"] == "validating" and stripe._now >= job["created"] + CHECKED_AFTER:
        wrong = [why for id in job["objects"]["customers"] for why in obstacles(stripe, id)]
        job["status"] = "failed" if wrong else "ready"
        stripe.obstacles[job["id"]] = wrong
    if job["status"] == "redacting" and stripe._now >= stripe.running[job["id"]] + DONE_AFTER:
        job["status"] = "succeeded"
        for id in job["objects"]["customers"]:
            _redact(stripe, id)
    return job


def run(stripe: "FakeStripe", job: Json) -> Json:
    if look(stripe, job)["status"] != "ready":
        raise invalid(f"You can only run a redaction job that is ready; it is {job['status']}.")
    job["status"] = "redacting"
    stripe.running[job["id"]] = stripe._now
    return job


def cancel(stripe: "FakeStripe", job: Json) -> Json:
    if look(stripe, job)["status"] not in ("ready", "failed"):
        raise invalid("You can cancel a redaction job when it's in one of these statuses: ready, failed.")
    job["status"] = "canceled"
    return job


def obstacles(stripe: "FakeStripe", customer: str) -> list[str]:
    """What keeps a customer from being redacted: live subscriptions, open money, and what is too young."""
    found = [
        f"{subscription['id']} is {subscription['status']}"
        for subscription in stripe.subscriptions.of("customer", customer)
        if subscription["status"] not in OVER
    ]
    found += [
        f"{invoice['id']} is {invoice['status']}"
        for invoice in stripe.invoices.of("customer", customer)
        if invoice["status"] in ("open", "uncollectible")
    ]
    found += [
        f"{method['id']} is attached"
        for method in stripe.payment_methods.of("customer", customer)
        if method["customer"] == customer
    ]
    for charge in stripe.charges.of("customer", customer):
        if charge["created"] > stripe._now - YOUNG:
            found.append(f"{charge['id']} is younger than 90 days")
        found += [
            f"{dispute['id']} is {dispute['status']}"
            for dispute in stripe.disputes.of("charge", charge["id"])
            if dispute["status"] not in ("won", "lost", "warning_closed")
        ]
    return found


def _redact(stripe: "FakeStripe", id: str) -> None:
    customer = stripe.the(id)
    if not customer.get("deleted"):
        for name in ("name", "email", "phone", "description"):
            customer[name] = REDACTED if customer[name] else customer[name]
        customer["address"] = customer["shipping"] = None
        customer["metadata"] = dict.fromkeys(customer["metadata"], REDACTED)
    for invoice in stripe.invoices.of("customer", id):
        for name in ("customer_name", "customer_email", "customer_phone"):
            invoice[name] = REDACTED if invoice[name] else invoice[name]
        invoice["customer_address"] = None
