"""An agreement: one purchase at AWS Marketplace, and the account that it has here.

AWS names a purchase in several ways, and no message carries them all: EventBridge speaks of agreements and licences,
SNS of customer identifiers, registration of all but sometimes the agreement (facts/aws-marketplace, 2.1 to 2.5). One
AWS account may buy the same product several times, so its id alone names nothing. A row is one purchase, through every
renewal and replacement of it; the ids that it had before stay known, so that late messages find it.

What AWS said of it, and what each word changes, is `marketplace.aws.lifecycle`.
"""

from datetime import datetime, timedelta
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from accounts.checks.schedule import SETTLING_TIME, CheckedQuerySet
from accounts.core.write_guard import refused_while_erasing
from accounts.models import Account
from marketplace.aws.dimension import DEFAULT, Dimension
from marketplace.aws.lifecycle import Lifecycle
from marketplace.aws.vocabulary import AwsEndReason
from subscriptions.models import Subscription

#: AWS says once more that it is over before the final hour closes; its word alone closes it after so long.
PATIENCE = timedelta(days=1)
#: Within it AWS cancels a public contract with a full refund (facts/aws-marketplace, 2.9).
CHANGE_OF_MIND = timedelta(hours=48)


class AwsAgreementQuerySet(CheckedQuerySet["AwsAgreement"]):
    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))

    def pending(self) -> Self:
        """Those of an account here that AWS is to be asked about."""
        return super().pending().registered()

    def registered(self) -> Self:
        """Those that have an account here."""
        return self.filter(account__isnull=False)

    def running(self) -> Self:
        """Those that run, as far as AWS has said."""
        return self.filter(models.Q(ended_at=None) | models.Q(ended_at__lt=models.F("subscribed_at"))).exclude(
            subscribed_at=None
        )

    def holding(self) -> Self:
        """Those by which AWS bills their accounts, or will: they run, or wait for AWS's word that they do."""
        waiting = models.Q(subscribed_at=None, ended_at=None, failed_at=None)
        return self.registered().filter(waiting | models.Q(pk__in=type(self)(self.model).running().values("pk")))

    def billed_though_ended(self, at: datetime) -> Self:
        """Those that run, though their subscription was ended here: AWS goes on charging, for nothing."""
        return self.running().filter(subscription__ends_at__lte=at)

    def final_hour_over(self, at: datetime) -> Self:
        """Those that run, though AWS said that the agreement has ended, and whose final hour is over by far."""
        return self.running().filter(agreement_over_at__isnull=False, final_hour_until__lte=at - SETTLING_TIME)

    def unanswered(self, at: datetime) -> Self:
        """Of those whose final hour is over, those about which nobody asks, or AWS has not answered for a day."""
        unheard = models.Q(checked_at=None) | models.Q(checked_at__lt=models.F("final_hour_until"))
        a_day = models.Q(final_hour_until__lte=at - SETTLING_TIME - PATIENCE)
        return self.final_hour_over(at).filter(models.Q(account=None) | (a_day & unheard))


class AwsAgreement(Lifecycle):
    """A purchase. Without an account until its buyer has registered; a message may come before, or for ever alone."""

    #: Longer than a run of the sweep, and the few calls that end it.
    LEASE = timedelta(minutes=5)

    #: `agmt-…`, and the `l-…` part of the licence's ARN: the ARN itself is spelt differently from place to place.
    agreement_id = models.CharField(
        _("agreement"), max_length=64, unique=True, null=True, blank=True
    )  # unknown ones don't collide
    licence_id = models.CharField(_("licence"), max_length=64, unique=True, null=True, blank=True)  # likewise
    #: Agreements and licences that this purchase was under before it was renewed, replaced or bought again.
    former_ids = ArrayField(models.CharField(max_length=64), verbose_name=_("former ids"), default=list, blank=True)
    aws_account_id = models.CharField(_("AWS account"), max_length=12, blank=True, db_index=True)
    customer_identifier = models.CharField(_("customer identifier"), max_length=64, blank=True, db_index=True)
    product_code = models.CharField(_("product code"), max_length=64, blank=True)
    product_id = models.CharField(_("product"), max_length=64, blank=True)
    offer_id = models.CharField(_("offer"), max_length=64, blank=True)

    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="aws_agreements",
        verbose_name=_("account"),
    )
    #: The newest one that this purchase has had. No constraint in the database: a purge erases subscriptions first.
    subscription = models.OneToOneField(
        Subscription,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="aws_agreement",
        verbose_name=_("subscription"),
    )
    registered_at = models.DateTimeField(_("registered"), null=True, blank=True)

    #: What GetEntitlements named; None for a pay-as-you-go purchase, which has no entitlements.
    dimension = models.ForeignKey(
        Dimension,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="agreements",
        verbose_name=_("dimension"),
    )
    seats = models.PositiveIntegerField(_("seats"), default=1)

    objects = AwsAgreementQuerySet.as_manager()

    class Meta:
        db_table = "marketplace_agreement"
        verbose_name = _("AWS agreement")
        verbose_name_plural = _("AWS agreements")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(subscription=None) | models.Q(account__isnull=False),
                name="agreement_subscribes_an_account",
            ),
            models.CheckConstraint(
                condition=~models.Q(agreement_id="") & ~models.Q(licence_id=""), name="agreement_ids_are_not_empty"
            ),
            models.CheckConstraint(
                condition=models.Q(end_reason__in=["", *AwsEndReason.values]), name="agreement_end_reason_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None) | ~models.Q(end_reason=""), name="agreement_ends_for_a_reason"
            ),
        ]
        indexes = [
            GinIndex(fields=["former_ids"], name="agreement_former_ids"),
            models.Index(Coalesce("unsubscribe_pending_at", "ended_at"), name="agreement_by_leaving"),
            models.Index(
                fields=["check_at", "id"], condition=models.Q(check_at__isnull=False), name="agreement_check_due"
            ),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return self.agreement_id or self.licence_id or self.customer_identifier or self.aws_account_id

    @property
    def is_contract(self) -> bool:
        """Whether it is bought for a time, and not by use."""
        return self.dimension_id is not None or self.renews_or_ends_at is not None

    @property
    def plan_id(self) -> str:
        """The code of the plan that it grants."""
        return self.dimension.granted_plan_id if self.dimension else DEFAULT

    def ids(self) -> list[str]:
        """The ids that it is under now, each belonging to this purchase alone."""
        return [known for known in (self.agreement_id, self.licence_id) if known]

    def retire_ids(self) -> None:
        """The purchase goes on under other ids; messages about the old ones are old. Not saved yet."""
        self.former_ids = sorted({*self.former_ids, *self.ids()})
        self.agreement_id = self.licence_id = None
        self.terms_said_at = None

    def begin_again(self, said_at: datetime, at: datetime) -> None:
        """It is bought again: what became of its last subscription, and by whom, is past, too. Not saved yet."""
        super().begin_again(said_at, at)
        self.subscription = None

    def may_change_its_mind(self, at: datetime) -> bool:
        """Whether AWS itself still cancels a public contract, with a full refund."""
        since = self.accepted_at or self.subscribed_at
        return since is not None and at < since + CHANGE_OF_MIND
