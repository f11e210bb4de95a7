"""What Stripe tells by webhook: hints, each of which makes a customer due for a check.

Nothing that an event says is taken over (docs.stripe.com/webhooks): events come late, twice, in any order and in old
shapes. Stripe is asked what is so, once for a burst of them (`subscriptions.stripe.checks`). An event of nobody whom we
know, of a kind that we don't, or of another product on the same Stripe account, is noted and changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core import strict_json
from accounts.inbox.delivery import Delivery, DeliveryOutcome, Unprocessable
from accounts.inbox.sources import InboxSource
from subscriptions.billing.invoice import InvoicePayment
from subscriptions.billing.wish import Want, Wish
from subscriptions.refunds.paying import look_again
from subscriptions.refunds.refund import Refund
from subscriptions.stripe.customer import StripeCustomer, StripeCustomerQuerySet
from subscriptions.stripe.payloads import CODE, instant, reference
from subscriptions.stripe.signature import StripeRefusal

#: Of a customer's subscriptions, invoices, payments, purchases: all of them are asked about together.
HEARD = (
    "charge.",
    "checkout.session.",
    "customer.",
    "invoice.",
    "invoice_payment.",
    "refund.",
    "subscription_schedule.",
)
#: As long as the column for what a sender calls an account.
MAX_EXTERNAL = 60


class StripeMode(models.TextChoices):
    """Whether it is about real money: each mode has objects, keys and secrets of its own."""

    LIVE = "", _("live")
    TEST = "sandbox", _("sandbox")


def handle(delivery: Delivery, at: datetime) -> DeliveryOutcome:
    """Process one event: the inbox's handler. Raises `Unprocessable` for what staff must look at."""
    if (delivery.mode == StripeMode.LIVE) != settings.STRIPE_LIVEMODE:
        delivery.alert = "Of the other mode than STRIPE_API_KEY: not processed. Is the endpoint of this mode set up?"
        return DeliveryOutcome.TEST
    if delivery.body is None:
        raise Unprocessable("The body is no longer kept.")
    if not delivery.event.startswith(HEARD):
        return DeliveryOutcome.UNKNOWN
    said = _object_of(strict_json.parse(bytes(delivery.body)))
    delivery.action = delivery.event.rpartition(".")[2][:100]
    whose = customers_of(said)
    customer = whose.first()
    delivery.external_account = (customer.reference if customer else _named(said))[:MAX_EXTERNAL]
    if customer is None:
        return DeliveryOutcome.UNKNOWN
    delivery.account_id = customer.account_id
    _hear(delivery.event, said, customer, whose, at)
    return DeliveryOutcome.ASKED


def hear_late(event: Mapping[str, Any], at: datetime) -> None:
    """An event that was never delivered, read from Stripe's own list: heard as if it had been."""
    data = event.get("data")
    said = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(said, Mapping) or event.get("livemode") != settings.STRIPE_LIVEMODE:
        return
    whose = customers_of(said)
    if customer := whose.first():
        _hear(str(event.get("type")), said, customer, whose, at)


def _hear(
    event: str, said: Mapping[str, Any], customer: StripeCustomer, whose: StripeCustomerQuerySet, at: datetime
) -> None:
    if event == "customer.deleted":
        customer.deleted_there(at)
    whose.ask(at)
    _hurry(event, said, at)
    if said.get("object") == "refund":
        look_again(Refund.objects.filter(provider_reference=reference(said)).exclude(provider_reference=""), at)


def _object_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the event is about. Raises `Unprocessable` if it says nothing of it."""
    data = event.get("data")
    said = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(said, Mapping):
        raise Unprocessable("The event has no `data.object`.")
    return said


def _named(said: Mapping[str, Any]) -> str:
    """The customer that an object names, or is."""
    return reference(said) if said.get("object") == "customer" else reference(said.get("customer"))


def customers_of(said: Mapping[str, Any]) -> StripeCustomerQuerySet:
    """The customer of ours that an object is about: refunds and disputes name a payment alone."""
    if named := _named(said):
        return StripeCustomer.objects.filter(reference=named)
    payments = [name for name in (reference(said.get("payment_intent")), reference(said.get("charge"))) if name]
    paid = InvoicePayment.objects.filter(reference__in=payments, invoice__provider=CODE)
    return StripeCustomer.objects.filter(account__subscriptions__invoices__payments__in=paid).distinct()


def _hurry(event: str, said: Mapping[str, Any], at: datetime) -> None:
    """A renewal has begun of what was to end: there is an hour left before it is charged, so the wish has its turn now.

    Only a wish that is open: what was agreed, and goes on all the same, is for the check to find.
    """
    if event != "invoice.created" or said.get("billing_reason") != "subscription_cycle":
        return
    began = instant(said.get("created"))
    about = subscription_of(said)
    late = Wish.objects.open().filter(
        want=Want.END, subscription__holding__provider=CODE, subscription__holding__reference=about
    )
    if about and began:
        late.filter(next_attempt_at__gt=at).update(next_attempt_at=at)


def subscription_of(invoice: Mapping[str, Any]) -> str:
    """The subscription that an invoice is of, in the shape of any year; empty for one that is of none."""
    parent = invoice.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, Mapping) else None
    newer = reference(details.get("subscription")) if isinstance(details, Mapping) else ""
    return newer or reference(invoice.get("subscription"))


SOURCE = InboxSource("stripe", "Stripe", handle, door="stripe_webhook", modes=StripeMode, refusals=StripeRefusal)
