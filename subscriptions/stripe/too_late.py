"""Too late: the next cycle had begun at Stripe before a promised end was heard there. Its renewal is undone.

Called once the subscription has ended there, and again until nothing is left to undo. The invoices of renewals say
what there is: a draft is frozen, an open one voided (its page would stay payable for months), a paid one is paid back
in full: the delay was ours, so nobody has to approve it. A bank debit that is on its way is waited for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from stripe import RequestOptions
from typing_extensions import TypedDict

from accounts.jobs.due_work import NotYet
from subscriptions.billing.finding import find, find_once
from subscriptions.billing.provider import PaidBack, WishRequest
from subscriptions.stripe.client import StripeApi, StripeRefused
from subscriptions.stripe.reading import first_start, instant, items, reference

#: By what the port calls this provider.
CODE = "stripe"
#: A payment that is on its way takes days: it is looked at so often.
PROCESSING_WAIT = timedelta(hours=1)
#: An invoice is created about when its period begins; this is more than "about".
BEFORE = timedelta(days=2)


class PaymentNamed(TypedDict, total=False, closed=True):
    """How Stripe's calls name a payment: by the one or the other."""

    payment_intent: str
    charge: str


@dataclass
class Undoing:
    """What was undone, by invoice; `again_at`: not all of it yet, look again then."""

    undone: list[dict[str, Any]] = field(default_factory=list)
    paid_back: list[PaidBack] = field(default_factory=list)
    again_at: datetime | None = None

    @property
    def facts(self) -> dict[str, Any]:
        return {"undone": self.undone} if self.undone else {}


def undo(api: StripeApi, request: WishRequest, said: Mapping[str, Any]) -> Undoing:
    """Undo whatever was charged, or may still be, for a time after the promised end. Safe to repeat.

    `said`: the subscription, ended. Raises what the client raises.
    """
    assert request.wanted_end_at is not None
    wanted = request.wanted_end_at.replace(microsecond=0)
    undoing = Undoing()
    for invoice in _renewals(api, said, wanted, request.at):
        begins, ends = _period(invoice)
        if begins >= wanted or (_unpaid_at(invoice, wanted) and _left_unpaid(said, ends, wanted)):
            _undo(api, request, invoice, undoing)
    return undoing


def _renewals(api: StripeApi, said: Mapping[str, Any], wanted: datetime, at: datetime) -> Iterator[Mapping[str, Any]]:
    """The invoices of cycles that may have begun too late, or were never paid."""
    since = min(wanted, first_start(said) or wanted) - BEFORE
    listed = api.every(
        lambda v1, page: v1.invoices.list(
            {"subscription": str(said["id"]), "created": {"gte": int(since.timestamp())}, **page}
        ),
        at=at,
    )
    for invoice in listed:
        if invoice.get("billing_reason") == "subscription_cycle" and items(invoice.get("lines")):
            yield invoice


def _period(invoice: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """The time that a renewal is for: its newest line's. What else is on it belongs to times before."""
    periods = [line["period"] for line in items(invoice.get("lines")) if isinstance(line.get("period"), Mapping)]
    found = [
        (begins, ends)
        for period in periods
        if (begins := instant(period.get("start"))) and (ends := instant(period.get("end")))
    ]
    if not found:
        raise NotYet("an invoice at Stripe does not say for which time it is")
    return max(found)


def _unpaid_at(invoice: Mapping[str, Any], end: datetime) -> bool:
    """Whether it was not paid when the subscription was to end: neither is it now, or it was charged since."""
    if invoice.get("status") != "paid":
        return invoice.get("status") != "void"
    transitions = invoice.get("status_transitions")
    paid_at = instant(transitions.get("paid_at")) if isinstance(transitions, Mapping) else None
    return paid_at is not None and paid_at > end


def _left_unpaid(said: Mapping[str, Any], ends: datetime, wanted: datetime) -> bool:
    """Whether somebody left while a renewal was unpaid: nothing more is collected for it.

    Not where an invoice is sent to be paid: there, a period that was used stays due. Nor where Stripe gave up.
    """
    details = said.get("cancellation_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    ended = instant(said.get("ended_at")) or wanted
    by_card = said.get("collection_method", "charge_automatically") == "charge_automatically"
    return by_card and reason == "cancellation_requested" and ends > min(ended, wanted)


def _undo(api: StripeApi, request: WishRequest, invoice: Mapping[str, Any], undoing: Undoing) -> None:
    number = str(invoice["id"])
    status = invoice.get("status")
    if status == "draft":
        _freeze(api, invoice, request.at)
        undoing.undone.append({"invoice": number, "what": "frozen"})
    elif status in ("open", "uncollectible"):
        if _on_its_way(api, number, request.at):
            undoing.again_at = request.at + PROCESSING_WAIT
            undoing.undone.append({"invoice": number, "what": "processing"})
            return
        api.ask(lambda v1: v1.invoices.void_invoice(number, {}, _key(request, number, "void")), at=request.at)
        undoing.undone.append({"invoice": number, "what": "voided"})
    elif status == "paid":
        _pay_back(api, request, invoice, undoing)


def _freeze(api: StripeApi, invoice: Mapping[str, Any], at: datetime) -> None:
    """Ending the subscription has frozen its drafts. If this one goes on all the same, it is told to stop."""
    if invoice.get("auto_advance"):
        number = str(invoice["id"])
        answer = api.ask(lambda v1: v1.invoices.update(number, {"auto_advance": False}), at=at)
        if answer.get("auto_advance"):
            raise NotYet("a draft of Stripe's goes on by itself")


def _payments(api: StripeApi, invoice: str, at: datetime) -> list[Mapping[str, Any]]:
    return list(
        api.every(
            lambda v1, page: v1.invoice_payments.list(
                {"invoice": invoice, "expand": ["data.payment.payment_intent"], **page}
            ),
            at=at,
        )
    )


def _on_its_way(api: StripeApi, invoice: str, at: datetime) -> bool:
    """Whether a payment may still succeed without anybody's doing."""
    for payment in _payments(api, invoice, at):
        paying = payment.get("payment")
        intent = paying.get("payment_intent") if isinstance(paying, Mapping) else None
        if isinstance(intent, Mapping) and intent.get("status") == "processing":
            return True
    return False


def _pay_back(api: StripeApi, request: WishRequest, invoice: Mapping[str, Any], undoing: Undoing) -> None:
    """All that was paid of it, each payment once. What no refund can give back is a finding for staff."""
    number = str(invoice["id"])
    if not invoice.get("amount_paid"):
        # Credit paid it, which is lost with the invoice.
        if invoice.get("total"):
            find(
                "credit-lost",
                provider=CODE,
                reference=number,
                facts={
                    "subscription": request.reference,
                    "cents": invoice.get("total"),
                    "currency": invoice.get("currency"),
                },
                at=request.at,
            )
            undoing.undone.append({"invoice": number, "what": "credit"})
        return
    for payment in _payments(api, number, request.at):
        if payment.get("status") != "paid":
            continue
        paying = payment.get("payment")
        paying = paying if isinstance(paying, Mapping) else {}
        intent = reference(paying.get("payment_intent"))
        charge = reference(paying.get("charge"))
        if intent or charge:
            _refund(api, request, invoice, intent, charge, undoing)
        else:
            _by_hand(request, number, "paid-elsewhere")
            undoing.undone.append({"invoice": number, "what": "by_hand"})


def _refund(
    api: StripeApi, request: WishRequest, said: Mapping[str, Any], intent: str, charge: str, undoing: Undoing
) -> None:
    invoice = str(said["id"])
    of: PaymentNamed = {"payment_intent": intent} if intent else {"charge": charge}
    paid = intent or charge
    # Ours, of an earlier attempt, whatever became of the answer: a key alone is forgotten after a day.
    listed = api.every(lambda v1, page: v1.refunds.list({**of, **page}), at=request.at)
    ours = next((refund for refund in listed if (refund.get("metadata") or {}).get("offboard_undo") == invoice), None)
    if ours is None:
        left, refusal = _left(api, intent, charge, request.at)
        if refusal:
            _by_hand(request, invoice, refusal)
            undoing.undone.append({"invoice": invoice, "what": "by_hand"})
            return
        if not left:
            # Paid back by others already.
            undoing.undone.append({"invoice": invoice, "what": "refunded", "cents": 0})
            return
        try:
            ours = api.ask(
                lambda v1: v1.refunds.create(
                    {
                        **of,
                        "amount": left,
                        "reason": "requested_by_customer",
                        "metadata": {"offboard_undo": invoice},
                    },
                    {"idempotency_key": f"undo:{paid}"},
                ),
                at=request.at,
            )
        except StripeRefused as refused:
            _by_hand(request, invoice, refused.code or "refused")
            undoing.undone.append({"invoice": invoice, "what": "by_hand"})
            return
    if ours.get("status") in ("failed", "canceled"):
        _by_hand(request, invoice, "refund-failed")
        undoing.undone.append({"invoice": invoice, "what": "by_hand"})
        return
    _credit(api, said, str(ours["id"]), int(ours.get("amount") or 0), request.at)
    undoing.paid_back.append(
        PaidBack(paid, str(ours["id"]), int(ours.get("amount") or 0), str(ours.get("currency") or "").upper())
    )
    undoing.undone.append(
        {
            "invoice": invoice,
            "what": "refunded",
            "refund": ours.get("id"),
            "cents": ours.get("amount"),
            "currency": ours.get("currency"),
        }
    )


def _credit(api: StripeApi, invoice: Mapping[str, Any], refund: str, cents: int, at: datetime) -> None:
    """Credit what was paid back of a renewal with tax, once: without a note the tax reports stay wrong."""
    number = str(invoice["id"])
    if not cents or not tax_of(invoice):
        return
    notes = api.every(lambda v1, page: v1.credit_notes.list({"invoice": number, **page}), at=at)
    # By the refund: a renewal that was paid in parts is credited in parts.
    if any((note.get("metadata") or {}).get("offboard_undo") == refund for note in notes):
        return
    try:
        api.ask(
            lambda v1: v1.credit_notes.create(
                {
                    "invoice": number,
                    "amount": cents,
                    "refunds": [{"refund": refund, "amount_refunded": cents}],
                    # The owner has our own mail about it.
                    "email_type": "none",
                    "metadata": {"offboard_undo": refund},
                },
                {"idempotency_key": f"undo:{refund}:credit-note"},
            ),
            at=at,
        )
    except StripeRefused as refused:
        # The money goes back all the same: staff write the note in the dashboard.
        facts = {"invoice": number, "why": refused.code or refused.kind}
        find_once("credit-note-missing", provider=CODE, reference=refund, facts=facts, at=at)


def tax_of(invoice: Mapping[str, Any]) -> int:
    """The tax on an invoice, in its currency's smallest unit."""
    taxes = invoice.get("total_taxes")
    rows = taxes if isinstance(taxes, list) else []
    return sum(int(tax.get("amount") or 0) for tax in rows if isinstance(tax, Mapping))


def _left(api: StripeApi, intent: str, charge: str, at: datetime) -> tuple[int, str]:
    """What of a payment has not been paid back, read just before; or why we must not pay it back ourselves."""
    if intent:
        said = api.ask(lambda v1: v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]}), at=at)
        found = said.get("latest_charge")
    else:
        found = api.ask(lambda v1: v1.charges.retrieve(charge), at=at)
    if not isinstance(found, Mapping):
        return 0, "no-charge"
    if found.get("disputed"):
        # Paying back and losing the dispute would pay twice.
        return 0, "disputed"
    return int(found.get("amount_captured") or 0) - int(found.get("amount_refunded") or 0), ""


def _by_hand(request: WishRequest, invoice: str, why: str) -> None:
    find(
        "renewal-not-undone",
        provider=CODE,
        reference=invoice,
        facts={"subscription": request.reference, "why": why},
        at=request.at,
    )


def _key(request: WishRequest, what: str, verb: str) -> RequestOptions:
    """A key for this attempt: another one reads first (`subscriptions.stripe.agreement`)."""
    return {"idempotency_key": f"undo:{what}:{request.at.timestamp():.6f}:{verb}"}
