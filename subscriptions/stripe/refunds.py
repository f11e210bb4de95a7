"""Paying back through Stripe: once, however often it is asked, and never what somebody has taken back already.

An idempotency key is forgotten after a day, and a refund may be tried for longer. So before each attempt the refunds of
the payment are read, and ours is known by its metadata; only where it is not among them it is made
(docs.stripe.com/api/idempotent_requests). What is left of the payment is read in the same breath: others refund as
well, in Stripe's dashboard, and banks take payments back. Whoever is killed between two calls leaves what the next
attempt reads.

Prices that carry tax are credited by a credit note, to which the refund is linked: without one the tax reports stay
wrong. The note comes after the refund, found by its metadata as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.jobs.due_work import NotYet
from subscriptions.billing.finding import find_once
from subscriptions.billing.invoice import Invoice, InvoicePayment
from subscriptions.billing.provider import Payable, RefundState
from subscriptions.refunds.refund import Refund
from subscriptions.stripe.client import StripeApi, StripeError, StripeRefused, not_yet, stripe_api
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.too_late import CODE, PaymentNamed, tax_of
from subscriptions.subscription import Subscription

#: By which ours are known at Stripe, whatever became of the answer.
OURS = "offboard_refund"
#: The same of a charge that was undone where it was too late to stop it (`subscriptions.stripe.too_late`).
UNDONE = "offboard_undo"
#: Stripe's states, in the port's words (docs.stripe.com/refunds).
STATES = {
    "succeeded": "paid",
    "pending": "accepted",
    # The customer is asked for bank details, by mail.
    "requires_action": "accepted",
    "failed": "failed",
    "canceled": "failed",
}
#: Refusals that no repetition mends, by code. Anything else may be a fault of ours, or of the key: staff see it.
DISPUTED = ("charge_disputed", "refund_disputed_payment")
REFUNDED = "charge_already_refunded"
#: How Stripe says of payment methods that there is no way back: it has no code of its own.
NO_WAY_BACK = "Refunds are not supported on this payment method"


@dataclass(frozen=True)
class Charged:
    """What a payment took, and what has become of it, read just now. Amounts in the currency's minor unit."""

    reference: str
    captured: int
    refunded: int
    is_disputed: bool

    @property
    def left(self) -> int:
        return self.captured - self.refunded


def pay(refund: Refund, at: datetime) -> RefundState:
    """Pay it back, unless that has been done. Raises `NotYet` when nobody can say now."""
    try:
        return _paid(stripe_api(), refund, at)
    except StripeError as error:
        raise not_yet(error) from error


def state(refund: Refund, at: datetime) -> RefundState:
    """How far it has come at Stripe. Raises `NotYet` when nobody can say now."""
    try:
        api = stripe_api()
        said = api.ask(lambda v1: v1.refunds.retrieve(refund.provider_reference), at=at)
        return _taken(api, refund, said, at)
    except StripeError as error:
        raise not_yet(error) from error


def refundable(subscription: Subscription) -> list[Payable]:
    """What was paid for it, newest first, as last read: what is left is read again just before it is paid back."""
    paid = InvoicePayment.objects.filter(invoice__subscription=subscription, invoice__provider=CODE)
    return [
        Payable(
            reference=payment.reference,
            invoice_number=payment.invoice.number,
            paid_at=payment.paid_at,
            cents=payment.cents,
            left_cents=payment.left_cents,
            currency=payment.invoice.currency,
            refused_because=_why_not(payment),
        )
        for payment in paid.select_related("invoice").order_by("-paid_at", "-pk")
    ]


def _why_not(payment: InvoicePayment) -> str:
    if payment.disputed:
        return "disputed"
    if payment.kind == "payment_record":
        return "elsewhere"
    return "" if payment.left_cents else "refunded"


def open_disputes(api: StripeApi, charge: str, at: datetime) -> Iterator[Mapping[str, Any]]:
    """By which the bank holds the money of a charge, or has it. An inquiry still allows refunds; what was won, too."""
    listed = api.every(lambda v1, page: v1.disputes.list({"charge": charge, **page}), at=at)
    for dispute in listed:
        if not dispute.get("is_charge_refundable") and dispute.get("status") not in ("won", "warning_closed"):
            yield dispute


def refunds_of(api: StripeApi, of: PaymentNamed, at: datetime) -> list[Mapping[str, Any]]:
    """All refunds of a payment or a charge, by whomever."""
    return list(api.every(lambda v1, page: v1.refunds.list({**of, **page}), at=at))


def is_ours(said: Mapping[str, Any]) -> bool:
    """Whether this installation made a refund, whichever row of ours it was for."""
    metadata = said.get("metadata")
    return isinstance(metadata, Mapping) and (OURS in metadata or UNDONE in metadata)


def has_failed(said: Mapping[str, Any]) -> bool:
    return said.get("status") in ("failed", "canceled")


def _paid(api: StripeApi, refund: Refund, at: datetime) -> RefundState:
    of = _payment(refund)
    if of is None:
        return RefundState("failed", failure="not_a_payment_of_stripe")
    listed = refunds_of(api, of, at)
    ours = next((said for said in listed if _is_of(said, refund)), None)
    if ours is None:
        charged = _charged(api, of, at)
        if charged.is_disputed:
            return RefundState("failed", failure="disputed")
        if charged.left < refund.cents:
            return _by_others(api, refund, charged, listed, at)
        try:
            ours = _make(api, refund, of, at)
        except StripeRefused as refused:
            return _refused(refused)
        StripeCustomer.objects.filter(account=refund.subscription.account_id).ask(at)
    return _taken(api, refund, ours, at)


def _make(api: StripeApi, refund: Refund, of: PaymentNamed, at: datetime) -> Mapping[str, Any]:
    """The order itself. `reason` is never `fraudulent`: that puts the customer's card on a block list."""
    return api.ask(
        lambda v1: v1.refunds.create(
            {
                **of,
                "amount": refund.cents,
                "reason": "requested_by_customer",
                "metadata": {OURS: refund.reference},
            },
            # Of the row alone. A refund that has failed for good is never tried again: another one has another number.
            {"idempotency_key": f"{refund.reference}:1"},
        ),
        at=at,
    )


def _refused(refused: StripeRefused) -> RefundState:
    if refused.code in DISPUTED:
        return RefundState("failed", failure="disputed")
    if refused.message.startswith(NO_WAY_BACK):
        return RefundState("failed", failure="not_refundable")
    # Also what others paid back in this very moment: read again next time.
    raise NotYet(str(refused)) from refused


def _by_others(
    api: StripeApi, refund: Refund, charged: Charged, listed: Sequence[Mapping[str, Any]], at: datetime
) -> RefundState:
    """Not enough is left. What somebody else paid back in full, of the same amount, is done; else nothing can be."""
    theirs = [said for said in listed if not is_ours(said) and not has_failed(said)]
    same = next((said for said in theirs if said.get("amount") == refund.cents), None)
    if same is None or charged.left:
        return RefundState("failed", failure="already_refunded")
    return _taken(api, refund, same, at)


def _taken(api: StripeApi, refund: Refund, said: Mapping[str, Any], at: datetime) -> RefundState:
    """What a refund at Stripe means for ours; the credit note goes with it."""
    number = str(said["id"])
    found = STATES.get(str(said.get("status")))
    if found is None:
        raise NotYet(f"Stripe says of {number} what we don't know: {str(said.get('status'))[:40]}")
    if said.get("status") == "requires_action":
        _find_once("refund-needs-bank-details", number, refund, at)
    if found == "failed":
        _credited_in_vain(api, refund, at)
        StripeCustomer.objects.filter(account=refund.subscription.account_id).ask(at)
        return RefundState(found, reference=number, failure=str(said.get("failure_reason") or said.get("status")))
    if not refund.credit_note_at:
        _credit(api, refund, number, at)
    return RefundState(found, reference=number)


# Credit notes


def _credit(api: StripeApi, refund: Refund, number: str, at: datetime) -> None:
    """Credit what was paid back of an invoice with tax; once."""
    invoice = _invoice_of(refund)
    if invoice:
        said = api.ask(lambda v1: v1.invoices.retrieve(invoice.reference), at=at)
        if tax_of(said) and _note_of(api, refund, invoice, at) is None:
            try:
                api.ask(
                    lambda v1: v1.credit_notes.create(
                        {
                            "invoice": invoice.reference,
                            "amount": refund.cents,
                            "refunds": [{"refund": number, "amount_refunded": refund.cents}],
                            # The owner has our own mail about it.
                            "email_type": "none",
                            "metadata": {OURS: refund.reference},
                        },
                        {"idempotency_key": f"{refund.reference}:credit-note:1"},
                    ),
                    at=at,
                )
            except StripeRefused as refused:
                # The money is on its way all the same: staff write the note in the dashboard.
                _find_once("credit-note-missing", number, refund, at, why=refused.code or refused.kind)
    Refund.objects.filter(pk=refund.pk).update(credit_note_at=at)


def _credited_in_vain(api: StripeApi, refund: Refund, at: datetime) -> None:
    """A credit note of a paid invoice can't be voided by us: staff decide what becomes of it."""
    invoice = _invoice_of(refund)
    if invoice and refund.credit_note_at and (note := _note_of(api, refund, invoice, at)):
        _find_once("credit-note-of-a-failed-refund", str(note["id"]), refund, at)


def _note_of(api: StripeApi, refund: Refund, invoice: Invoice, at: datetime) -> Mapping[str, Any] | None:
    listed = api.every(
        lambda v1, page: v1.credit_notes.list({"invoice": invoice.reference, **page}),
        at=at,
    )
    return next((note for note in listed if _is_of(note, refund)), None)


def _invoice_of(refund: Refund) -> Invoice | None:
    payments = InvoicePayment.objects.filter(
        invoice__subscription=refund.subscription_id, invoice__provider=CODE, reference=refund.payment_reference
    )
    found = payments.select_related("invoice").first()
    return found.invoice if found else None


# Reading


def _payment(refund: Refund) -> PaymentNamed | None:
    """How Stripe names what is paid back; None for what was paid outside of it."""
    named = refund.payment_reference
    if named.startswith("pi_"):
        return {"payment_intent": named}
    return {"charge": named} if named.startswith(("ch_", "py_")) else None


def _charged(api: StripeApi, of: PaymentNamed, at: datetime) -> Charged:
    if "payment_intent" in of:
        intent = api.ask(
            lambda v1: v1.payment_intents.retrieve(of["payment_intent"], {"expand": ["latest_charge"]}), at=at
        )
        said = intent.get("latest_charge")
    else:
        said = api.ask(lambda v1: v1.charges.retrieve(of["charge"]), at=at)
    if not isinstance(said, Mapping):
        raise NotYet("Stripe knows no charge of this payment")
    number = str(said["id"])
    return Charged(
        reference=number,
        captured=int(said.get("amount_captured") or 0),
        refunded=int(said.get("amount_refunded") or 0),
        is_disputed=bool(said.get("disputed")) and any(open_disputes(api, number, at)),
    )


def _is_of(said: Mapping[str, Any], refund: Refund) -> bool:
    metadata = said.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get(OURS) == refund.reference


def _find_once(code: str, reference: str, refund: Refund, at: datetime, **facts: str) -> None:
    find_once(
        code,
        provider=CODE,
        reference=reference,
        account=refund.subscription.account,
        facts={"refund": refund.reference, **facts},
        at=at,
    )
