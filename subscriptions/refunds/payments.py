"""The door to money: how a refund is paid.

Whoever runs this with a payment system of their own declares an implementation that calls it. The one that is here
calls nothing: staff pay in their payment system, and say here that they have (`subscriptions.refunds.paying`). Until
then nothing was paid, and nobody is told that it was.
"""

from datetime import datetime
from typing import ClassVar, Protocol

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.registry import Registry
from subscriptions.refunds.refund import MAX_PAYMENT_REFERENCE, Refund


class PaymentFailed(Exception):
    """Nothing was paid. Says why; it is tried again."""


class Payments(Protocol):
    """Pays money back. Called outside of transactions."""

    def refund(self, *, key: str, amount: int, currency: str, reference: str, at: datetime) -> None:
        """Pay `amount` cents of the payment `reference` back. Returns when that is done.

        Repeating a call with the same `key` pays nothing more. Raises `PaymentFailed`, or whatever its own library
        does.
        """


class NotPaidYet(PaymentFailed):
    """Staff pay this one, and have not said yet that they have."""


class Payout(models.Model):
    """What was paid back, as staff said that they did it. The refund's reference is its idempotency key."""

    refund = models.OneToOneField(
        Refund,
        on_delete=models.PROTECT,
        primary_key=True,
        to_field="reference",
        related_name="payout",
        verbose_name=_("refund"),
    )
    cents = models.PositiveIntegerField(_("amount in cents"))
    currency = models.CharField(_("currency"), max_length=3)
    payment_reference = models.CharField(_("number in the payment system"), max_length=MAX_PAYMENT_REFERENCE)
    recorded_at = models.DateTimeField(_("recorded"))

    objects: ClassVar[models.Manager["Payout"]] = models.Manager()

    class Meta:
        verbose_name = _("pay-out")
        verbose_name_plural = _("pay-outs")
        constraints = [models.CheckConstraint(condition=models.Q(cents__gt=0), name="payout_is_positive")]

    def __str__(self) -> str:
        return f"{self.refund_id}: {self.cents} {self.currency}"


class RecordedPayments:
    """Staff pay in their payment system; what they say that they paid is written down here, once for each refund."""

    def refund(self, *, key: str, amount: int, currency: str, reference: str, at: datetime) -> None:
        if not Payout.objects.filter(refund_id=key).exists():
            raise NotPaidYet(f"nobody has said yet that {key} was paid in the payment system")

    def record(self, *, key: str, amount: int, currency: str, reference: str, at: datetime) -> None:
        """Write down that staff have paid it. Raises `PaymentFailed` for another amount than before."""
        payout, _new = Payout.objects.get_or_create(
            refund_id=key,
            defaults={"cents": amount, "currency": currency, "payment_reference": reference, "recorded_at": at},
        )
        if (payout.cents, payout.currency) != (amount, currency):
            raise PaymentFailed(f"{key} was paid before, with another amount: {payout.cents} {payout.currency}")


#: Where staff write down what they paid themselves, also where a provider holds the subscription.
written_down = RecordedPayments()
#: How refunds are paid of what no provider holds: one way.
REGISTRY: Registry[Payments] = Registry(key=lambda payments: "payments")


def payments() -> Payments:
    return REGISTRY.named("payments")


def by_hand() -> RecordedPayments | None:
    """Where what staff pay is written down; None where a payment system pays by itself."""
    found = payments()
    return found if isinstance(found, RecordedPayments) else None
