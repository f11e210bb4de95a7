"""No invoice is paid for a time after an end that was promised: what slipped through all the same is found, and red.

A renewal that came because the provider could not be told in time is undone by the wish itself. What this finds is what
nobody undoes: somebody let the subscription go on at the provider, a refund failed, or what was said to be done by hand
was not. Asked after whatever is read of a customer, and each night of all.
"""

from datetime import datetime

from django.db import models
from django.db.models.functions import Coalesce, Trunc
from django.utils.translation import gettext_lazy as _

from accounts.jobs.invariants import Invariant
from accounts.models import Account
from subscriptions.billing.finding import Finding, find_once
from subscriptions.billing.invoice import Invoice, InvoicePayment

CODE = "paid-after-end"


def paid_after_end() -> "models.QuerySet[Invoice]":
    """Invoices with `kept_cents`, which were paid for a time that begins at the end of their subscription or later.

    Not those that were paid back in full. Providers count whole seconds, and so does this.
    """
    paid_back = (
        InvoicePayment.objects.filter(invoice=models.OuterRef("pk"))
        .order_by()
        .values("invoice")
        .annotate(cents=models.Sum("refunded_cents"))
        .values("cents")
    )
    return (
        Invoice.objects.paid()
        .filter(subscription__ends_at__isnull=False)
        .filter(period_started_at__gte=Trunc("subscription__ends_at", "second"))
        .annotate(kept_cents=models.F("cents_paid") - Coalesce(models.Subquery(paid_back), 0))
        .filter(kept_cents__gt=0)
    )


def look(at: datetime, account: Account | None = None) -> int:
    """Tell staff of each, of one account or of all, once; and close what was paid back. Returns how many are new.

    What a wish is about to undo is no news yet (`subscriptions.billing.agreeing`).
    """
    found, standing = paid_after_end(), Finding.objects.open().filter(code=CODE)
    if account is not None:
        found, standing = found.filter(subscription__account=account), standing.filter(account=account)
    standing.exclude(reference__in=found.values("reference")).update(closed_at=at)
    being_undone = models.Q(subscription__wish__isnull=False, subscription__wish__agreed_at=None)
    new = 0
    for invoice in found.exclude(being_undone).select_related("subscription__account").order_by("pk").iterator():
        ends_at = invoice.subscription.ends_at
        assert ends_at is not None
        new += find_once(
            CODE,
            provider=invoice.provider,
            reference=invoice.reference,
            account=invoice.subscription.account,
            facts={
                "subscription": invoice.subscription_id,
                "cents": getattr(invoice, "kept_cents", 0),
                "currency": invoice.currency,
                "ended_at": ends_at.isoformat(),
            },
            at=at,
        )
    return new


INVARIANTS = (
    Invariant(
        CODE,
        _("invoices were paid for a time after an end that was promised, and are not paid back"),
        lambda at: Finding.objects.open().filter(code=CODE),
        example="reference",
    ),
)
