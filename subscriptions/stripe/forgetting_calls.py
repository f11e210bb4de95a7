"""The steps of forgetting as they are done at Stripe: each may be done again, and finds its work done."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from stripe import RequestOptions
from stripe.params import CustomerUpdateParams, SubscriptionUpdateParams

from accounts.jobs.due_work import NotYet
from subscriptions.billing.holding import Holding
from subscriptions.billing.wish import Want, Wish
from subscriptions.stripe.client import StripeRefused, stripe_api
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.forgetting_step import ForgettingStep, StepKind
from subscriptions.stripe.payloads import CODE
from subscriptions.stripe.price import StripePrice
from subscriptions.stripe.redaction import redact

#: Something else has to happen first: looked at again after so long.
LOOK_AGAIN = timedelta(minutes=1)
#: In which nothing is charged, and nothing can be brought back.
OVER = ("canceled", "incomplete_expired")
#: Under which our own id of the account stands on what we make there.
ACCOUNT_KEY = "offboard_account"
#: Of a payment, or of a card's setting up, that nobody went on with: no money moved, and none is reserved.
UNUSED = ("requires_payment_method", "requires_confirmation", "requires_action")
#: It belongs to an invoice, and goes with it: not to be cancelled by itself.
AN_INVOICES = "payment_intent_unexpected_state"
#: What of its invoices is not settled: owed, and not final yet.
UNSETTLED: tuple[Literal["open", "draft"], ...] = ("open", "draft")
#: Everything on the customer object that tells of a person; an empty text unsets it.
BLANK: CustomerUpdateParams = {
    "name": "",
    "business_name": "",
    "individual_name": "",
    "email": "",
    "phone": "",
    "address": "",
    "shipping": "",
    "description": "",
    "metadata": "",
    "tax": {"ip_address": ""},
    "invoice_settings": {"custom_fields": "", "footer": ""},
}
#: What of it is looked at afterwards.
TELLING = ("name", "business_name", "individual_name", "email", "phone", "address", "shipping", "description")


def _confirm(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """Ask Stripe what runs. Ours that still does is ended here, unless a wish about it is being carried out."""
    customer = _customer(step, at)
    if not customer.get("deleted"):
        # First: what is still being paid would be a subscription that nobody has ended.
        _expire_sessions(step, at)
    wishes = Wish.objects.open().filter(subscription__account_id=step.account_id, subscription__held_by=CODE)
    if wishes.filter(want=Want.END).exists():
        raise NotYet("Stripe is still being asked to end it", until=at + LOOK_AGAIN, counts=False)
    facts = {"subscriptions": 0, "ended_by_this": 0, "others_run": 0}
    ours = _Ours(step.account_id)
    for subscription in _subscriptions(step, at):
        facts["subscriptions"] += 1
        if subscription.get("status") in OVER:
            continue
        if not ours.has(subscription):
            facts["others_run"] += 1
            continue
        _end(step, str(subscription["id"]), at)
        facts["ended_by_this"] += 1
    return facts


def _settle(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """Void what would still be taken from a card, and take the cards off. What was sent as a bill is left, counted."""
    api, customer = stripe_api(), step.customer
    facts = {"voided": 0, "owed": 0, "unused": 0, "reserved": 0, "cards": 0}
    if _customer(step, at).get("deleted"):
        return facts
    ours = _Ours(step.account_id)
    subscriptions = {str(found["id"]) for found in _subscriptions(step, at) if ours.has(found)}
    for status in UNSETTLED:
        for invoice in list(_invoices(step, status, at)):
            number = str(invoice["id"])
            if _subscription_of(invoice) not in subscriptions or invoice.get("collection_method") == "send_invoice":
                facts["owed"] += status == "open"
            elif status == "open":
                _void(step, number, at)
                facts["voided"] += 1
            elif invoice.get("auto_advance"):
                # A draft of a subscription can't be voided: it must not become final by itself.
                _hold(step, number, at)
    for intent in list(api.every(lambda v1, page: v1.payment_intents.list({**page, "customer": customer}), at=at)):
        facts["reserved"] += intent.get("status") == "requires_capture"
        facts["unused"] += intent.get("status") in UNUSED and _cancel_payment(step, str(intent["id"]), at)
    for intent in list(api.every(lambda v1, page: v1.setup_intents.list({**page, "customer": customer}), at=at)):
        if intent.get("status") in UNUSED:
            _cancel_setup(step, str(intent["id"]), at)
            facts["unused"] += 1
    methods = api.every(lambda v1, page: v1.customers.payment_methods.list(customer, {**page}), at=at)
    for method in list(methods):
        _detach(step, str(method["id"]), at)
        facts["cards"] += 1
    return facts


def _blank(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """Blank the customer, and what its subscriptions say beside their dates; then look whether it is blank."""
    api, customer = stripe_api(), step.customer
    if _customer(step, at).get("deleted"):
        return {"deleted": True}
    ours = _Ours(step.account_id)
    for subscription in list(_subscriptions(step, at)):
        comment = (subscription.get("cancellation_details") or {}).get("comment")
        if ours.has(subscription) and (comment or subscription.get("metadata")):
            _blank_subscription(step, str(subscription["id"]), at)
    tax_ids = list(api.every(lambda v1, page: v1.customers.tax_ids.list(customer, {**page}), at=at))
    for tax_id in tax_ids:
        _delete_tax_id(step, str(tax_id["id"]), at)
    options: RequestOptions = {"idempotency_key": step.key("blank", customer)}
    said = api.ask(lambda v1: v1.customers.update(customer, BLANK, options), at=at)
    left = [name for name in TELLING if said.get(name)]
    if left:
        raise NotYet(f"Stripe still has {', '.join(left)} of the customer")
    return {"blank": True, "tax_ids": len(tax_ids)}


def _delete(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    if not _customer(step, at).get("deleted"):
        options: RequestOptions = {"idempotency_key": step.key("delete")}
        said = stripe_api().ask(lambda v1: v1.customers.delete(step.customer, options=options), at=at)
        if not said.get("deleted"):
            raise NotYet("Stripe did not say that the customer is deleted")
    return {"deleted": True}


def _invoices(step: ForgettingStep, status: Literal["open", "draft"], at: datetime) -> Iterator[dict[str, Any]]:
    customer = step.customer
    return stripe_api().every(
        lambda v1, page: v1.invoices.list({**page, "customer": customer, "status": status}), at=at
    )


def _void(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("void", number)}
    stripe_api().ask(lambda v1: v1.invoices.void_invoice(number, options=options), at=at)


def _hold(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("hold", number)}
    stripe_api().ask(lambda v1: v1.invoices.update(number, {"auto_advance": False}, options), at=at)


def _detach(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("detach", number)}
    stripe_api().ask(lambda v1: v1.payment_methods.detach(number, options=options), at=at)


def _cancel_payment(step: ForgettingStep, number: str, at: datetime) -> bool:
    options: RequestOptions = {"idempotency_key": step.key("cancel", number)}
    try:
        stripe_api().ask(lambda v1: v1.payment_intents.cancel(number, options=options), at=at)
    except StripeRefused as refused:
        if refused.code != AN_INVOICES:
            raise
        return False
    return True


def _cancel_setup(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("cancel", number)}
    stripe_api().ask(lambda v1: v1.setup_intents.cancel(number, options=options), at=at)


def _delete_tax_id(step: ForgettingStep, number: str, at: datetime) -> None:
    customer = step.customer
    options: RequestOptions = {"idempotency_key": step.key("delete", number)}
    stripe_api().ask(lambda v1: v1.customers.tax_ids.delete(customer, number, options=options), at=at)


def _blank_subscription(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("blank", number)}
    blank: SubscriptionUpdateParams = {"metadata": "", "cancellation_details": {"comment": ""}}
    stripe_api().ask(lambda v1: v1.subscriptions.update(number, blank, options), at=at)


def _customer(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """The customer, maybe `deleted`. One that Stripe never heard of proves nothing: that is the wrong key."""
    customer = stripe_api().ask(lambda v1: v1.customers.retrieve(step.customer), at=at)
    known = StripeCustomer.objects.filter(reference=step.customer).first()
    if known and customer.get("livemode") not in (None, known.livemode):
        raise NotYet("the key is of the other mode: test instead of live, or the reverse")
    return customer


def _expire_sessions(step: ForgettingStep, at: datetime) -> None:
    api, customer = stripe_api(), step.customer
    found = api.every(
        lambda v1, page: v1.checkout.sessions.list({**page, "customer": customer, "status": "open"}), at=at
    )
    for session in list(found):
        _expire(step, str(session["id"]), at)


def _expire(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("expire", number)}
    stripe_api().ask(lambda v1: v1.checkout.sessions.expire(number, options=options), at=at)


def _subscriptions(step: ForgettingStep, at: datetime) -> Iterator[dict[str, Any]]:
    """All that the customer has or had, the ended ones too."""
    customer = step.customer
    return stripe_api().every(
        lambda v1, page: v1.subscriptions.list({**page, "customer": customer, "status": "all"}), at=at
    )


def _end(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("end", number)}
    said = stripe_api().ask(
        lambda v1: v1.subscriptions.cancel(number, {"prorate": False, "invoice_now": False}, options), at=at
    )
    if said.get("status") != "canceled":
        raise NotYet(f"Stripe says that {number} is {said.get('status')}")


class _Ours:
    """Tells a subscription of ours from one of another product on the same Stripe account, which is never touched."""

    def __init__(self, account_id: uuid.UUID) -> None:
        self._account = str(account_id)
        held = Holding.objects.filter(provider=CODE, subscription__account_id=account_id)
        self._held = set(held.values_list("reference", flat=True))
        self._prices = set(StripePrice.objects.mapped().values_list("reference", flat=True))

    def has(self, subscription: Mapping[str, Any]) -> bool:
        if subscription["id"] in self._held or (subscription.get("metadata") or {}).get(ACCOUNT_KEY):
            return True
        items = (subscription.get("items") or {}).get("data") or []
        return any((item.get("price") or {}).get("id") in self._prices for item in items)


def _subscription_of(invoice: Mapping[str, Any]) -> str:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    found = details.get("subscription") or ""
    return str(found.get("id") if isinstance(found, Mapping) else found)


STEPS = {
    StepKind.CONFIRM: _confirm,
    StepKind.SETTLE: _settle,
    StepKind.BLANK: _blank,
    StepKind.DELETE: _delete,
    StepKind.REDACT: redact,
}
