"""What a payment provider holds: a subscription as it was last read there.

Who holds the money owns its dates. `Held` is what a provider says of one subscription, in our words; `Holding` is what
of it was read last, beside the subscription that it belongs to. What decides access stands on the subscription itself
(`held_by`, its period, its suspension), so that no page joins to know it. Bringing the two in line is
`subscriptions.billing.taking_over`'s.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from subscriptions.subscription import MAX_PROVIDER, Subscription

#: What a provider calls things: its ids are opaque, and longer than one expects.
MAX_REFERENCE = 255
#: A provider's own word for a status, kept for staff.
MAX_STATUS_WORD = 40


class HeldStatus(models.TextChoices):
    """What a provider's status means for access."""

    #: The first payment is missing: nothing is granted.
    NOT_BEGUN = "not_begun", _("not begun")
    LIVE = "live", _("live")
    #: A payment failed, and is tried again: still live, and its owner is told.
    LATE = "late", _("payment is late")
    #: Unpaid for good, or paused: Free features, data kept, until it is paid or resumed.
    SUSPENDED = "suspended", _("suspended")
    ENDED = "ended", _("ended")


class AskedBy(models.TextChoices):
    """Who asked the provider to end it, as far as the provider says."""

    OWNER = "owner", _("the owner, on the provider’s page")
    STAFF = "staff", _("staff, or another program")
    UNPAID = "unpaid", _("the provider: it was not paid")
    CHARGED_BACK = "charged_back", _("the provider: it was charged back")
    PROVIDER = "provider", _("the provider")


@dataclass(frozen=True)
class Held:
    """One subscription, as a provider says it is. Instants are UTC, as exact as the provider's; amounts in minor units.

    `due_end_at`: when it ends by itself, if anybody has asked for that; `asked_to_end_at` when they did. `read_at` is
    the instant at which the request was *sent*: an older picture never overwrites a newer one.
    """

    provider: str
    reference: str
    customer_reference: str
    plan_code: str
    #: Months in a cycle: 1 or 12.
    interval: int
    seats: int
    #: For one seat and one cycle.
    cents: int
    currency: str
    started_at: datetime
    period_started_at: datetime
    period_ends_at: datetime
    status: HeldStatus
    #: In the provider's own word.
    status_word: str
    read_at: datetime
    trial_ends_at: datetime | None = None
    due_end_at: datetime | None = None
    asked_to_end_at: datetime | None = None
    #: One of `AskedBy`; empty if the provider does not say.
    asked_by: str = ""
    #: One of our reasons (`subscriptions.ending.cancellation.Reason`); empty for none.
    feedback: str = ""
    comment: str = ""
    ended_at: datetime | None = None
    #: The first payment of more than nothing.
    first_paid_at: datetime | None = None
    suspended_at: datetime | None = None
    suspended_until: datetime | None = None


class Holding(models.Model):
    """What the provider of a subscription calls it, and how it stood there when it was last read."""

    subscription = models.OneToOneField(
        Subscription,
        on_delete=models.PROTECT,
        primary_key=True,
        related_name="holding",
        verbose_name=_("subscription"),
    )
    provider = models.CharField(_("provider"), max_length=MAX_PROVIDER)
    reference = models.CharField(_("its id there"), max_length=MAX_REFERENCE)
    customer_reference = models.CharField(_("the customer’s id there"), max_length=MAX_REFERENCE, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=HeldStatus.choices)
    status_word = models.CharField(_("in the provider’s word"), max_length=MAX_STATUS_WORD, blank=True)
    due_end_at = models.DateTimeField(_("due to end there"), null=True, blank=True)
    asked_to_end_at = models.DateTimeField(_("end asked for there"), null=True, blank=True)
    #: When the request was sent that what stands here answers.
    read_at = models.DateTimeField(_("read"))
    #: When a walk over all that the provider holds has last met it.
    walked_at = models.DateTimeField(_("met by a walk"), null=True, blank=True)
    #: The code of what staff were last told of it; the same is not told twice.
    last_finding = models.CharField(_("last finding"), max_length=60, blank=True)

    objects: ClassVar[models.Manager["Holding"]] = models.Manager()

    class Meta:
        verbose_name = _("holding")
        verbose_name_plural = _("holdings")
        constraints = [
            models.UniqueConstraint(fields=["reference", "provider"], name="holding_is_of_one_subscription"),
            models.CheckConstraint(condition=models.Q(status__in=HeldStatus.values), name="holding_status_is_known"),
            models.CheckConstraint(
                condition=~models.Q(provider="") & ~models.Q(reference=""), name="holding_is_somewhere"
            ),
        ]
        indexes = [
            models.Index(fields=["customer_reference", "provider"], name="holding_by_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.reference}"


def nothing_is_paid(subscription: Subscription, at: datetime) -> bool:
    """Whether there is no paid time left that an end could wait for: a payment is late, or it is suspended."""
    return subscription.is_suspended(at) or payment_is_late(subscription)


def payment_is_late(subscription: Subscription) -> bool:
    """Whether, as last read, a payment failed and is tried again: its period has begun, and nothing is paid for it."""
    return subscription.held_by != "" and Holding.objects.filter(pk=subscription.pk, status=HeldStatus.LATE).exists()
