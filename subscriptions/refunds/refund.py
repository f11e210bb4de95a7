"""A refund: who proposed and approved it, how far it has come. See `subscriptions.refunds.decisions`."""

from datetime import timedelta
from functools import partial
from typing import Self

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.references import new_reference
from accounts.core.refusal import Refused
from accounts.jobs.due_work import DueWork, DueWorkQuerySet
from accounts.models import SupportRequest, User
from subscriptions.subscription import Channel, Subscription

MAX_PAYMENT_REFERENCE = 100

#: Where the money is, if it is not with us; in words for staff, who pass them on.
PAID_ELSEWHERE: dict[str, Promise] = {
    Channel.AWS_MARKETPLACE: _(
        "AWS Marketplace bills this account and pays back: within 48 hours of the purchase of a contract the customer "
        "asks AWS Customer Service; after that ask for a billing adjustment in the AWS Marketplace Management Portal. "
        "Record the number of the case with the request."
    ),
    Channel.GITHUB_MARKETPLACE: _(
        "GitHub Marketplace bills this account and pays back: the customer asks GitHub Support. Record the number of "
        "the case with the request."
    ),
    Channel.DATADOG_SALES: _(
        "The sales team bills this contract and corrects its invoices. Record the number of the case with the request."
    ),
}


class PaidElsewhere(Refused):
    """We took no money, so we pay none back. `route` says who does, and how to ask."""

    def __init__(self, channel: Channel) -> None:
        self.channel, self.route = channel, PAID_ELSEWHERE[channel]
        super().__init__(self.route)


class Refunded(Refused):
    """What was paid back is not kept."""

    text = _("This subscription was refunded, so it can't be kept.")


class Ends(models.TextChoices):
    """When a refund ends the subscription."""

    NOW = "now", _("at once")
    CYCLE_END = "cycle_end", _("with the current cycle")


class RefundQuerySet(DueWorkQuerySet["Refund"]):
    def standing(self) -> Self:
        """Those that nobody has turned down."""
        return self.filter(declined_at=None)

    def approved(self) -> Self:
        return self.filter(approved_at__isnull=False)

    def undecided(self) -> Self:
        """Those that wait for an approval."""
        return self.standing().filter(approved_at=None)

    def unfinished(self) -> Self:
        """Approved ones of which the money is not paid, or the subscription not ended yet."""
        return self.approved().filter(ended_at=None)

    def unpaid(self) -> Self:
        return self.unfinished().filter(paid_at=None)

    def paid_but_not_ended(self) -> Self:
        return self.unfinished().filter(paid_at__isnull=False)

    def pending(self) -> Self:
        """To be carried out, or gone on with."""
        return self.unfinished()

    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))


class Refund(DueWork):
    """Money back for one subscription, at most once: proposed, approved, paid, and then the subscription is ended."""

    LONGEST_WAIT = timedelta(hours=6)
    WAITING_SINCE = "approved_at"

    #: Told to the customer, and the key under which the payment system pays once.
    reference = models.CharField(
        _("reference"), max_length=20, unique=True, default=partial(new_reference, "REF"), editable=False
    )
    #: No constraint in the database: a purge erases an account's requests before its refunds.
    request = models.ForeignKey(
        SupportRequest,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="refunds",
        verbose_name=_("request"),
    )
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="refunds", verbose_name=_("subscription")
    )
    cents = models.PositiveIntegerField(_("amount in cents"))
    #: What had been paid when it was proposed.
    paid_cents = models.PositiveIntegerField(_("paid until then, in cents"))
    currency = models.CharField(_("currency"), max_length=3)
    ends = models.CharField(_("ends the subscription"), max_length=10, choices=Ends.choices)
    payment_reference = models.CharField(_("number in the payment system"), max_length=MAX_PAYMENT_REFERENCE)
    # Staff by their ids: what they decided outlives them.
    proposed_by = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("proposed by")
    )
    proposed_at = models.DateTimeField(_("proposed"))
    #: Why two people are needed, as codes; empty: one is enough.
    second_person_for = models.CharField(_("second person because of"), max_length=40, blank=True)
    approved_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approved by"),
    )
    approved_at = models.DateTimeField(_("approved"), null=True, blank=True)
    declined_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("declined by"),
    )
    declined_at = models.DateTimeField(_("declined"), null=True, blank=True)
    paid_at = models.DateTimeField(_("paid"), null=True, blank=True)
    #: When the end was brought about here; with `cycle_end` the subscription itself ends later.
    ended_at = models.DateTimeField(_("end arranged"), null=True, blank=True)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)

    objects = RefundQuerySet.as_manager()

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        indexes = [
            # As small as what is under way.
            models.Index(
                fields=["next_attempt_at", "id"],
                condition=models.Q(approved_at__isnull=False, ended_at=None),
                name="refund_due",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"], condition=models.Q(declined_at=None), name="refund_once_a_subscription"
            ),
            models.CheckConstraint(
                condition=models.Q(cents__gt=0, cents__lte=models.F("paid_cents")), name="refund_within_what_was_paid"
            ),
            models.CheckConstraint(condition=models.Q(ends__in=Ends.values), name="refund_end_is_known"),
            models.CheckConstraint(
                condition=models.Q(approved_at=None, approved_by=None)
                | models.Q(
                    approved_at__gte=models.F("proposed_at"),
                    approved_by__isnull=False,
                    declined_at=None,
                    next_attempt_at__isnull=False,
                ),
                name="refund_approved_by_someone",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None)
                | models.Q(second_person_for="")
                | ~models.Q(approved_by=models.F("proposed_by")),
                name="refund_approved_by_another",
            ),
            models.CheckConstraint(
                condition=models.Q(declined_at=None, declined_by=None)
                | models.Q(declined_at__gte=models.F("proposed_at"), declined_by__isnull=False),
                name="refund_declined_by_someone",
            ),
            models.CheckConstraint(
                condition=models.Q(paid_at=None) | models.Q(paid_at__gte=models.F("approved_at")),
                name="refund_paid_after_approval",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None) | models.Q(ended_at__gte=models.F("paid_at")),
                name="refund_ended_after_payment",
            ),
        ]

    def __str__(self) -> str:
        return self.reference
