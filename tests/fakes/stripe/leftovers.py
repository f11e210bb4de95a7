"""What a customer leaves beside subscriptions: payments and cards' set-ups that nobody finished, and tax ids."""

from typing import TYPE_CHECKING

from tests.fakes.stripe.listing import page
from tests.fakes.stripe.refusals import invalid, missing
from tests.fakes.stripe.routes import endpoint
from tests.fakes.stripe.spec import Json, blank

if TYPE_CHECKING:
    from tests.fakes.stripe.calls import Call
    from tests.fakes.stripe.fake import FakeStripe

#: In which an intent can be called off: no money has moved.
CANCELLABLE = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")


def payment(stripe: "FakeStripe", customer: Json, *, status: str = "requires_payment_method") -> Json:
    """A payment of no invoice that was begun."""
    intent = stripe.intend(customer["id"], 1200, "usd")
    intent["status"] = status
    return intent


def set_up(stripe: "FakeStripe", customer: Json, *, status: str = "requires_payment_method") -> Json:
    """A card that somebody began to put on file."""
    intent = blank(
        "setup_intent",
        id=stripe.new_id("seti"),
        object="setup_intent",
        client_secret=f"seti_secret_{stripe.run}",
        created=stripe._now,
        customer=customer["id"],
        livemode=stripe.livemode,
        metadata={},
        payment_method_types=["card"],
        status=status,
        usage="off_session",
    )
    stripe.emit("setup_intent.created", stripe.add(intent))
    return intent


def tax_id(stripe: "FakeStripe", customer: Json, value: str = "DE123456789") -> Json:
    """A number under which a customer pays tax: of somebody who trades alone it is the person's."""
    found = blank(
        "tax_id",
        id=stripe.new_id("txi"),
        object="tax_id",
        country=value[:2],
        created=stripe._now,
        customer=customer["id"],
        livemode=stripe.livemode,
        type="eu_vat",
        value=value,
    )
    stripe.emit("customer.tax_id.created", stripe.add(found))
    return found


@endpoint("GET /v1/setup_intents")
def list_set_ups(stripe: "FakeStripe", call: "Call") -> Json:
    among = stripe.setup_intents.of("customer", call.given["customer"]) if "customer" in call.given else None
    return page(stripe.setup_intents, call.given, call.path, among=among, keep=lambda intent: True)


@endpoint("POST /v1/setup_intents")
def create_set_up(stripe: "FakeStripe", call: "Call") -> Json:
    return set_up(stripe, {"id": call.given["customer"]})


@endpoint("POST /v1/payment_intents")
def create_payment(stripe: "FakeStripe", call: "Call") -> Json:
    return stripe.intend(call.given.get("customer"), call.given["amount"], call.given["currency"])


@endpoint("POST /v1/customers/{customer}/tax_ids")
def create_tax_id(stripe: "FakeStripe", call: "Call") -> Json:
    return tax_id(stripe, {"id": call.ids[0]}, call.given["value"])


@endpoint("POST /v1/setup_intents/{intent}/cancel")
def cancel_set_up(stripe: "FakeStripe", call: "Call") -> Json:
    intent = stripe.setup_intents.get(call.ids[0])
    if not intent:
        raise missing("setupintent", call.ids[0], "intent")
    if intent["status"] not in CANCELLABLE:
        raise invalid(
            f"You cannot cancel this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
        )
    with stripe.changing(intent, "setup_intent.canceled"):
        intent["status"] = "canceled"
    return intent


@endpoint("GET /v1/customers/{customer}/tax_ids")
def list_tax_ids(stripe: "FakeStripe", call: "Call") -> Json:
    among = stripe.tax_ids.of("customer", call.ids[0])
    return page(stripe.tax_ids, call.given, call.path, among=among, keep=lambda found: True)


@endpoint("DELETE /v1/customers/{customer}/tax_ids/{id}")
def delete_tax_id(stripe: "FakeStripe", call: "Call") -> Json:
    found = stripe.tax_ids.get(call.ids[1])
    if not found or found["customer"] != call.ids[0]:
        raise missing("tax id", call.ids[1], "id")
    stripe.tax_ids.remove(found)
    stripe.emit("customer.tax_id.deleted", found)
    return {"id": found["id"], "object": "tax_id", "deleted": True}
