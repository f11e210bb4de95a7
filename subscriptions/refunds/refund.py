"""A refund: who proposed and approved it, how far it has come. See `subscriptions.refunds.decisions`.

Money that a payment provider pays back goes in steps that can lie weeks apart: *accepted*, once it has taken the order;
*paid*, once it says so; and *failed*, which it may say up to thirty days later, when the customer's bank has sent the
money back. The subscription ends with the acceptance, and stays ended whatever comes of it.
"""

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
#: A provider's word for why a refund failed.
MAX_FAILURE = 60
#: A provider may say for thirty days that a refund has failed after all (docs.stripe.com/refunds), and a day more.
MAY_FAIL_FOR = timedelta(days=31)

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


class RefundCause(models.TextChoices):
    """Why money is paid back."""

    #: Proposed and approved by staff; at most one of a subscription stands.
    DECIDED = "decided", _("decided by support staff")
    #: The provider charged for a time after an end that was promised. It is our debt: nobody decides about it.
    CHARGED_AFTER_END = "charged_after_end", _("charged for a time after the end")


class RefundQuerySet(DueWorkQuerySet["Refund"]):
    def decided(self) -> Self:
        """Those that staff propose and approve: not the charges that are undone by themselves."""
        return self.filter(cause=RefundCause.DECIDED)

    def standing(self) -> Self:
        """Those that nobody has turned down, and that have not failed."""
        return self.filter(declined_at=None, failed_at=None)

    def approved(self) -> Self:
        return self.filter(approved_at__isnull=False)

    def undecided(self) -> Self:
        """Those that wait for an approval."""
        return self.standing().filter(approved_at=None)

    def settles(self) -> Self:
        """Approved ones that end their subscription for good: not what failed before anybody had accepted it."""
        return self.approved().decided().exclude(failed_at__isnull=False, accepted_at=None)

    def unfinished(self) -> Self:
        """Approved ones that nobody has taken on yet, or whose subscription is not ended yet."""
        return self.approved().filter(ended_at=None, failed_at=None)

    def unpaid(self) -> Self:
        """Approved ones that nobody has taken on: by them nothing has begun to move."""
        return self.unfinished().filter(accepted_at=None)

    def accepted_but_not_ended(self) -> Self:
        return self.unfinished().filter(accepted_at__isnull=False)

    def on_the_way(self) -> Self:
        """Accepted by a provider, and neither paid nor failed yet."""
        return self.filter(accepted_at__isnull=False, paid_at=None, failed_at=None)

    def watched(self) -> Self:
        """Those of which a provider may still say that they failed."""
        return self.filter(watched_until__isnull=False)

    def failed(self) -> Self:
        return self.filter(failed_at__isnull=False)

    def pending(self) -> Self:
        """To be carried out, gone on with, or looked at again."""
        return self.approved().filter(models.Q(ended_at=None) | models.Q(watched_until__isnull=False), failed_at=None)

    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))


class Refund(DueWork):
    """Money back for one subscription: proposed, approved, accepted; then the subscription ends, and it is paid."""

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
    cause = models.CharField(
        _("because"), max_length=20, choices=RefundCause.choices, default=RefundCause.DECIDED, db_default="decided"
    )
    #: Staff pay it themselves, though a provider holds the subscription: there is no way back to the customer there.
    is_by_hand = models.BooleanField(_("paid by hand"), default=False, db_default=False)
    # Staff by their ids: what they decided outlives them. Nobody, for a charge that is undone by itself.
    proposed_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("proposed by"),
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
    #: When whoever pays it had taken it on; for staff who pay it themselves the same as paid.
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    #: What the provider calls the refund.
    provider_reference = models.CharField(
        _("its id at the provider"), max_length=255, blank=True, default="", db_default=""
    )
    paid_at = models.DateTimeField(_("paid"), null=True, blank=True)
    #: It failed, at the latest thirty days after it was paid; the money is with us again. Why, in the provider's word.
    failed_at = models.DateTimeField(_("failed"), null=True, blank=True)
    failure = models.CharField(_("failed because"), max_length=MAX_FAILURE, blank=True, default="", db_default="")
    #: When a credit note was seen to, where one is needed: prices with tax.
    credit_note_at = models.DateTimeField(_("credit note seen to"), null=True, blank=True)
    #: Until then the provider is asked whether it has failed; empty for what is final, or never was a provider's.
    watched_until = models.DateTimeField(_("looked after until"), null=True, blank=True)
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
                condition=models.Q(
                    models.Q(ended_at=None) | models.Q(watched_until__isnull=False),
                    approved_at__isnull=False,
                    failed_at=None,
                ),
                name="refund_due",
            ),
            models.Index(
                fields=["provider_reference"],
                condition=~models.Q(provider_reference=""),
                name="refund_by_provider_reference",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=models.Q(declined_at=None, failed_at=None, cause=RefundCause.DECIDED),
                name="refund_once_a_subscription",
            ),
            models.UniqueConstraint(
                fields=["subscription", "payment_reference"],
                condition=models.Q(cause=RefundCause.CHARGED_AFTER_END),
                name="refund_undoes_a_charge_once",
            ),
            models.CheckConstraint(condition=models.Q(cause__in=RefundCause.values), name="refund_cause_is_known"),
            models.CheckConstraint(
                condition=models.Q(cause=RefundCause.DECIDED, proposed_by__isnull=False)
                | models.Q(cause=RefundCause.CHARGED_AFTER_END, proposed_by=None, approved_by=None),
                name="refund_proposed_by_someone",
            ),
            models.CheckConstraint(
                condition=models.Q(cents__gt=0, cents__lte=models.F("paid_cents")), name="refund_within_what_was_paid"
            ),
            models.CheckConstraint(condition=models.Q(ends__in=Ends.values), name="refund_end_is_known"),
            models.CheckConstraint(
                condition=models.Q(approved_at=None, approved_by=None)
                | models.Q(
                    models.Q(approved_by__isnull=False) | models.Q(cause=RefundCause.CHARGED_AFTER_END),
                    approved_at__gte=models.F("proposed_at"),
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
                condition=models.Q(accepted_at=None)
                | models.Q(approved_at__isnull=False, accepted_at__gte=models.F("approved_at")),
                name="refund_accepted_after_approval",
            ),
            models.CheckConstraint(
                condition=models.Q(paid_at=None)
                | models.Q(accepted_at__isnull=False, paid_at__gte=models.F("accepted_at")),
                name="refund_paid_after_acceptance",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None)
                | models.Q(accepted_at__isnull=False, ended_at__gte=models.F("accepted_at")),
                name="refund_ended_after_acceptance",
            ),
            models.CheckConstraint(
                condition=models.Q(failed_at=None, failure="")
                | models.Q(
                    approved_at__isnull=False,
                    failed_at__isnull=False,
                    failed_at__gte=models.F("approved_at"),
                    watched_until=None,
                ),
                name="refund_failed_after_approval",
            ),
            models.CheckConstraint(
                condition=models.Q(watched_until=None)
                | models.Q(accepted_at__isnull=False, watched_until__gt=models.F("accepted_at")),
                name="refund_watched_from_acceptance",
            ),
        ]

    def __str__(self) -> str:
        return self.reference
