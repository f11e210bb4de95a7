"""Invoices and their payments, taken over as Stripe says them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from subscriptions.billing.holding import MAX_REFERENCE
from subscriptions.billing.invoice import Invoice, InvoicePayment, InvoiceStatus
from subscriptions.stripe.messages import subscription_of
from subscriptions.stripe.payloads import CODE, instant, listed, reference
from subscriptions.subscription import Subscription

#: How Stripe names what an invoice was paid by.
PAID_BY = ("payment_intent", "charge", "payment_record")


def first_paid(invoices: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """When the first payment of more than nothing came, by subscription. A trial's invoice is for nothing."""
    found: dict[str, datetime] = {}
    for invoice in invoices:
        paid_at = _when(invoice, "paid_at")
        about = subscription_of(invoice)
        if about and paid_at and invoice.get("status") == "paid" and _cents(invoice.get("amount_paid")):
            found[about] = min(paid_at, found.get(about, paid_at))
    return found


def take_over(subscription: Subscription, invoices: Iterable[Mapping[str, Any]]) -> int:
    """Write down a subscription's invoices as they are there. Returns how many. In the caller's transaction.

    What was paid back, and what is disputed, is the refund's to say (`subscriptions.stripe.refunds`): left as it is.
    """
    written = 0
    for said in invoices:
        status, issued_at = str(said.get("status") or ""), instant(said.get("created"))
        if not reference(said) or status not in InvoiceStatus.values or issued_at is None:
            continue
        period = _period(said)
        invoice, _new = Invoice.objects.update_or_create(
            provider=CODE,
            reference=reference(said),
            defaults={
                "subscription": subscription,
                "number": str(said.get("number") or "")[:100],
                "status": status,
                "cents_due": _cents(said.get("amount_due")),
                "cents_paid": _cents(said.get("amount_paid")),
                "currency": str(said.get("currency") or "").upper()[:3],
                "issued_at": issued_at,
                "paid_at": _when(said, "paid_at") if status == InvoiceStatus.PAID else None,
                "period_started_at": period[0],
                "period_ends_at": period[1],
                "is_renewal": said.get("billing_reason") == "subscription_cycle",
            },
        )
        _payments(invoice, said)
        written += 1
    return written


def _payments(invoice: Invoice, said: Mapping[str, Any]) -> None:
    for payment in listed(said.get("payments")):
        by = payment.get("payment")
        paid_by = by if isinstance(by, Mapping) else {}
        kind = str(paid_by.get("type") or "")
        named = reference(paid_by.get(kind)) if kind in PAID_BY else ""
        if not named or payment.get("status") != "paid":
            continue
        transitions = payment.get("status_transitions")
        paid_at = instant(transitions.get("paid_at")) if isinstance(transitions, Mapping) else None
        InvoicePayment.objects.update_or_create(
            invoice=invoice,
            reference=named[:MAX_REFERENCE],
            defaults={"kind": kind, "cents": _cents(payment.get("amount_paid")), "paid_at": paid_at},
        )


def _period(invoice: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """For what time it is: that of its latest line; the period on the invoice itself is the one before."""
    spans = []
    for line in listed(invoice.get("lines")):
        period = line.get("period")
        if isinstance(period, Mapping):
            start, end = instant(period.get("start")), instant(period.get("end"))
            if start and end:
                spans.append((start, end))
    return max(spans, default=(None, None))


def _when(invoice: Mapping[str, Any], what: str) -> datetime | None:
    transitions = invoice.get("status_transitions")
    return instant(transitions.get(what)) if isinstance(transitions, Mapping) else None


def _cents(value: object) -> int:
    """An amount; credit is none to be paid."""
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0
