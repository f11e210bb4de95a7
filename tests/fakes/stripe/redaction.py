"""Redaction jobs: a public preview at Stripe, known from its documentation alone (docs.stripe.com/privacy/redaction).

Not in the description of the API's version; a job is checked, waits to be run, and takes its time.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fakes.stripe.refusals import Refused, invalid
from tests.fakes.stripe.spec import Json
from tests.fakes.stripe.state import DAY, HOUR
from tests.fakes.stripe.subscriptions import OVER

if TYPE_CHECKING:
    from tests.fakes.stripe.calls import Call
    from tests.fakes.stripe.fake import FakeStripe

MOST = 10
YOUNG = 90 * DAY
CHECKED_AFTER, DONE_AFTER = 60, HOUR
REDACTED = "[redacted]"
#: In which a payment, or a set-up, is over.
FINAL = ("succeeded", "canceled")


@dataclass(frozen=True)
class Obstacle:
    """What keeps something from being redacted."""

    id: str
    kind: str
    message: str
    code: str = "invalid_state"


def check_version(call: "Call") -> None:
    """Previews are answered under a preview's version alone."""
    if not (call.version or "").endswith(".preview"):
        raise Refused(
            404, f"Unrecognized request URL ({call.method}: {call.path}). Please see https://stripe.com/docs."
        )


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
            "status": "created",
            "validation_behavior": asked.get("validation_behavior", "error"),
        }
    )


def look(stripe: "FakeStripe", job: Json) -> Json:
    """How far it has come by now."""
    if job["status"] == "created" and stripe._now > job["created"]:
        job["status"] = "validating"
    since: int = stripe.running.get(job["id"]) or job["created"]
    if job["status"] == "validating" and stripe._now >= since + CHECKED_AFTER:
        wrong = [why for id in job["objects"]["customers"] for why in obstacles(stripe, id)]
        job["status"] = "failed" if wrong else "ready"
        stripe.obstacles[job["id"]] = wrong
    if job["status"] == "redacting" and stripe._now >= since + DONE_AFTER:
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


def validate(stripe: "FakeStripe", job: Json) -> Json:
    if look(stripe, job)["status"] != "failed":
        raise invalid(f"You can only validate a redaction job that has failed; it is {job['status']}.")
    job["status"] = "validating"
    stripe.running[job["id"]] = stripe._now
    return job


def cancel(stripe: "FakeStripe", job: Json) -> Json:
    if look(stripe, job)["status"] not in ("ready", "failed"):
        raise invalid("You can cancel a redaction job when it's in one of these statuses: ready, failed.")
    job["status"] = "canceled"
    return job


def obstacles(stripe: "FakeStripe", customer: str) -> list[Obstacle]:
    """What keeps a customer from being redacted: what runs, open money, what nobody finished, and what is too young."""
    found = [
        Obstacle(thing["id"], kind, f"{thing['id']} is {thing['status']}")
        for kind, things, over in (
            ("subscription", stripe.subscriptions, OVER),
            ("invoice", stripe.invoices, ("draft", "paid", "void")),
            ("payment_intent", stripe.payment_intents, FINAL),
            ("setup_intent", stripe.setup_intents, FINAL),
        )
        for thing in things.of("customer", customer)
        if thing["status"] not in over
    ]
    found += [
        Obstacle(method["id"], "payment_method", f"{method['id']} is attached")
        for method in stripe.payment_methods.of("customer", customer)
        if method["customer"] == customer
    ]
    for charge in stripe.charges.of("customer", customer):
        if charge["created"] > stripe._now - YOUNG:
            found.append(
                Obstacle(charge["id"], "charge", f"{charge['id']} is younger than 90 days", "object_too_recent")
            )
        found += [
            Obstacle(dispute["id"], "dispute", f"{dispute['id']} is {dispute['status']}")
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
