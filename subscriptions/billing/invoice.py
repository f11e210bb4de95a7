"""Invoices and payments of a subscription that a provider holds, as it says them.

They are what was really due and paid: with discounts, taxes, credit and part payments in them, which no price times
cycles has. Money back is counted by them. The texts and the buyer's data stay with the provider.
"""

from datetime import datetime
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from subscriptions.billing.holding import MAX_REFERENCE
from subscriptions.subscription import MAX_PROVIDER, Subscription


class InvoiceStatus(models.TextChoices):
    DRAFT = "draft", _("not final yet")
    OPEN = "open", _("to be paid")
    PAID = "paid", pgettext_lazy("invoice", "paid")
    VOID = "void", _("void")
    UNCOLLECTIBLE = "uncollectible", _("given up")


class InvoiceQuerySet(models.QuerySet["Invoice"]):
    def paid(self) -> Self:
        return self.filter(status=InvoiceStatus.PAID)

    def shown(self) -> Self:
        """What an owner is shown, with `paid_back_cents`: not what may still change, nor what nobody has to pay."""
        shown = self.exclude(status__in=[InvoiceStatus.DRAFT, InvoiceStatus.VOID])
        return shown.annotate(paid_back_cents=models.Sum("payments__refunded_cents", default=0))


class Invoice(models.Model):
    """One invoice. Amounts are in the currency's minor unit, as the provider counts it."""

    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="invoices", verbose_name=_("subscription")
    )
    provider = models.CharField(_("provider"), max_length=MAX_PROVIDER)
    reference = models.CharField(_("its id there"), max_length=MAX_REFERENCE)
    #: As it stands on the invoice; a draft has none yet.
    number = models.CharField(_("number"), max_length=100, blank=True)
    status = models.CharField(_("status"), max_length=15, choices=InvoiceStatus.choices)
    cents_due = models.PositiveBigIntegerField(_("due, in cents"))
    cents_paid = models.PositiveBigIntegerField(_("paid, in cents"), default=0)
    currency = models.CharField(_("currency"), max_length=3)
    issued_at = models.DateTimeField(_("issued"))
    paid_at = models.DateTimeField(_("paid"), null=True, blank=True)
    period_started_at = models.DateTimeField(_("for the time from"), null=True, blank=True)
    period_ends_at = models.DateTimeField(_("for the time until"), null=True, blank=True)
    #: Of a cycle after the first one.
    is_renewal = models.BooleanField(_("renewal"), default=False)

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        constraints = [
            models.UniqueConstraint(fields=["reference", "provider"], name="invoice_is_known_once"),
            models.CheckConstraint(condition=models.Q(status__in=InvoiceStatus.values), name="invoice_status_is_known"),
        ]
        indexes = [models.Index(fields=["subscription", "-issued_at"], name="invoice_of_subscription")]

    def __str__(self) -> str:
        return self.number or self.reference


class InvoicePayment(models.Model):
    """One payment of an invoice: what can be paid back, and what of it has been."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments", verbose_name=_("invoice"))
    #: By which the provider pays back.
    reference = models.CharField(_("its id there"), max_length=MAX_REFERENCE)
    #: The provider's word for what it is.
    kind = models.CharField(_("kind"), max_length=40, blank=True)
    cents = models.PositiveBigIntegerField(_("amount in cents"))
    refunded_cents = models.PositiveBigIntegerField(_("paid back, in cents"), default=0)
    #: The payer's bank has taken it back, or asks to: it is not paid back by us as well.
    disputed = models.BooleanField(_("disputed"), default=False)
    paid_at = models.DateTimeField(_("paid"), null=True, blank=True)

    objects: "models.Manager[InvoicePayment]" = models.Manager()

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            models.UniqueConstraint(fields=["invoice", "reference"], name="payment_is_known_once"),
            models.CheckConstraint(
                condition=models.Q(refunded_cents__lte=models.F("cents")), name="payment_is_not_paid_back_twice"
            ),
        ]
        indexes = [models.Index(fields=["reference"], name="payment_by_reference")]

    def __str__(self) -> str:
        return self.reference

    @property
    def left_cents(self) -> int:
        """What of it has not been paid back yet."""
        return self.cents - self.refunded_cents


def paid_cents(subscription: Subscription, at: datetime) -> int:
    """What has been paid for a subscription that a provider holds, by `at`: its paid invoices, as read."""
    paid = Invoice.objects.paid().filter(models.Q(paid_at=None) | models.Q(paid_at__lte=at), subscription=subscription)
    return paid.aggregate(cents=models.Sum("cents_paid", default=0))["cents"] or 0
