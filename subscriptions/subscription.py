"""A subscription: an account's paid hold on a plan, bought through a channel."""

from datetime import UTC, datetime, timedelta
from typing import Self

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from accounts.core.external_ids import ExternalId
from accounts.core.foreign_input import LAST_YEAR
from accounts.core.search_fields import SearchKey
from accounts.core.versions import counts_versions
from accounts.core.write_guard import BeingErased, refused_while_erasing
from accounts.erasure.purge import Purge
from accounts.models import Account
from subscriptions.cycles import Cycle, cycle_at, cycles_begun
from subscriptions.plan import CURRENCY, Interval, Plan

#: What begins so soon after an end goes on with it: people enter whole seconds, and ends have microseconds.
NEAR = timedelta(seconds=1)
#: facts/cancelling, 3: inside it an owner may ask support for a refund instead of cancelling.
MONEY_BACK = timedelta(days=30)
MAX_ORDER_REFERENCE = 100
#: The code of a payment provider.
MAX_PROVIDER = 20


class Channel(models.TextChoices):
    """Where a subscription was bought; it decides who can end it (design, section 3)."""

    DIRECT = "direct", _("Direct")
    DATADOG_SALES = "datadog_sales", _("Sales team")
    AWS_MARKETPLACE = "aws_marketplace", "AWS Marketplace"
    GITHUB_MARKETPLACE = "github_marketplace", "GitHub Marketplace"


#: They charge for themselves, and stop when the customer cancels there.
MARKETPLACES = frozenset({Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE})


class _Period(models.Func):
    """The half-open period in which a subscription is live; an open end where none is set."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def of(self, account: Account) -> Self:
        return self.filter(account=account)

    def live(self, at: datetime) -> Self:
        """Begun and not ended at `at`: decided by dates alone, whether or not any job has run."""
        return self.filter(models.Q(ends_at=None) | models.Q(ends_at__gt=at), started_at__lte=at)

    def holding(self, at: datetime) -> Self:
        """Live at `at`, or to begin later: asked before an account is left or erased (design, idea 12)."""
        return self.filter(models.Q(ends_at=None) | models.Q(ends_at__gt=at)).real()

    def real(self) -> Self:
        """Not what was called off before it began: that was never live, and counts nowhere."""
        return self.exclude(ends_at=models.F("started_at"))

    def ended(self, at: datetime) -> Self:
        """Over at `at`, settled or not."""
        return self.filter(ends_at__lte=at)

    def unsettled(self) -> Self:
        """Whose end, if any, has had no consequences yet."""
        return self.filter(settled_at=None)

    def ordered_as(self, order_reference: str) -> Self:
        """What was bought under this order reference, whatever its case. Found by their index."""
        return self.filter(order_reference__iexact=order_reference.strip()).exclude(order_reference="")

    def overlapping(self, starts_at: datetime, ends_at: datetime) -> Self:
        """Those live at any instant from `starts_at` up to, not including, `ends_at`."""
        return self.filter(models.Q(ends_at=None) | models.Q(ends_at__gt=starts_at), started_at__lt=ends_at).real()

    def reminder_due(self, at: datetime) -> Self:
        """Whose owner should by now have been reminded of the end; not of one that has passed, nor where all goes.

        A reminder says that nothing is deleted, and how to keep the subscription: not of an account to be erased.
        """
        to_be_erased = Purge.objects.open().filter(account_id=models.OuterRef("account_id"))
        due = self.filter(next_reminder_at__lte=at, settled_at=None, ends_at__gt=at)
        return due.exclude(models.Exists(to_be_erased))

    def locked(self) -> Self:
        """Held against other transitions until the transaction ends; rows that refer to it may still be added."""
        return self.select_for_update(no_key=True, of=("self",))


class Subscription(models.Model):
    """Live from `started_at` up to, not including, `ends_at`. No live subscription means the free plan.

    `ends_at` is set when the end is known: by a cancellation, by a contract, or by a marketplace. Only settling
    looks at `settled_at`; nothing that decides access does.
    """

    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        related_name="subscriptions",
        db_index=False,
        verbose_name=_("account"),
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", verbose_name=_("plan"))
    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    interval = models.PositiveSmallIntegerField(_("billed"), choices=Interval.choices)
    seats = models.PositiveIntegerField(_("seats"), default=1)
    cents = models.PositiveIntegerField(_("price in cents"), help_text=_("For one seat and one cycle."))
    currency = models.CharField(_("currency"), max_length=3, default=CURRENCY)
    #: What the order is called in our payment system, or by the sales team. Marketplaces have ids of their own.
    order_reference = models.CharField(_("order reference"), max_length=MAX_ORDER_REFERENCE, blank=True)
    #: By which staff find it, however it was typed.
    order_key = SearchKey(source="order_reference")
    #: What the vendor's own systems call it.
    external_id = ExternalId()
    started_at = models.DateTimeField(_("started"))
    trial_ends_at = models.DateTimeField(_("trial ends"), null=True, blank=True)
    #: Cycles are counted from here: the end of the trial, or the start. Only a provider moves its own (a trigger).
    anchor_at = models.DateTimeField(_("cycles counted from"))
    ends_at = models.DateTimeField(_("ends"), null=True, blank=True)
    #: The code of the payment provider that holds it (`subscriptions.billing.provider`); empty: the vendor's own way.
    held_by = models.CharField(_("held by"), max_length=MAX_PROVIDER, blank=True, default="", db_default="")
    #: The period that the provider says it is in, as last read. Empty where nobody says, and cycles are counted.
    period_started_at = models.DateTimeField(_("period started"), null=True, blank=True)
    period_ends_at = models.DateTimeField(_("period ends"), null=True, blank=True)
    #: The first payment of more than nothing, where a provider says it.
    first_paid_at = models.DateTimeField(_("first paid"), null=True, blank=True)
    #: Unpaid for good or paused at the provider: Free features from then on, data kept. Until then, or until told.
    suspended_at = models.DateTimeField(_("suspended"), null=True, blank=True)
    suspended_until = models.DateTimeField(_("suspended until"), null=True, blank=True)
    #: The end that the vendor's own billing has told, if it has: nobody keeps the subscription beyond it.
    billed_until = models.DateTimeField(_("billed until"), null=True, blank=True)
    #: When the next reminder of the end is due. Kept by `subscriptions.ending.reminders`.
    next_reminder_at = models.DateTimeField(_("next reminder"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)
    #: How often the row has been changed; counted by the database.
    version = models.PositiveIntegerField(_("version"), default=1, db_default=1, editable=False)
    #: Why it could not be settled, or its owner be reminded, with all the others; empty for as it should be.
    last_error = models.TextField(_("last error"), blank=True, default="", db_default="")

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [
            ExclusionConstraint(
                name="subscription_one_live_an_account",
                expressions=[
                    ("account", RangeOperators.EQUAL),
                    (_Period("started_at", "ends_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                condition=models.Q(channel__in=Channel.values), name="subscription_channel_is_known"
            ),
            # Beyond it no calendar can tell the end in every zone, and one such row would break whole lists.
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__lt=datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)),
                name="subscription_ends_in_a_year_that_can_be_meant",
            ),
            models.CheckConstraint(
                condition=models.Q(interval__in=Interval.values), name="subscription_interval_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gte=models.F("started_at")),
                name="subscription_ends_after_start",
            ),
            models.CheckConstraint(
                condition=models.Q(trial_ends_at=None, anchor_at__gte=models.F("started_at"))
                | models.Q(trial_ends_at__gt=models.F("started_at"), anchor_at=models.F("trial_ends_at")),
                name="subscription_anchor_after_trial",
            ),
            models.CheckConstraint(
                condition=models.Q(settled_at=None) | models.Q(settled_at__gte=models.F("ends_at")),
                name="subscription_settled_after_end",
            ),
            models.CheckConstraint(
                condition=models.Q(order_reference="") | models.Q(channel__in=["direct", "datadog_sales"]),
                name="subscription_ordered_from_us",
            ),
            models.CheckConstraint(
                condition=models.Q(next_reminder_at=None) | models.Q(next_reminder_at__lt=models.F("ends_at")),
                name="subscription_reminded_before_end",
            ),
            models.CheckConstraint(
                condition=models.Q(held_by="") | models.Q(channel=Channel.DIRECT), name="subscription_held_if_direct"
            ),
            models.CheckConstraint(
                condition=models.Q(period_started_at=None, period_ends_at=None)
                | models.Q(~models.Q(held_by=""), period_ends_at__gt=models.F("period_started_at")),
                name="subscription_period_is_a_providers",
            ),
            models.CheckConstraint(
                condition=models.Q(suspended_until=None)
                | models.Q(suspended_at__isnull=False, suspended_until__gt=models.F("suspended_at")),
                name="subscription_suspended_before_it_goes_on",
            ),
            *ExternalId.rules("subscription"),
        ]
        indexes = [
            models.Index(fields=["account", "-started_at"], name="subscription_of_account"),
            models.Index(fields=["order_key"], condition=~models.Q(order_key=""), name="subscription_by_order_key"),
            models.Index(
                Upper("order_reference"), condition=~models.Q(order_reference=""), name="subscription_by_order"
            ),
            # Both as small as what waits: with nothing due they cost nothing, however many subscriptions there are.
            models.Index(
                fields=["ends_at"], condition=models.Q(settled_at=None, ends_at__isnull=False), name="subscription_due"
            ),
            # For who counts ends by week and channel, and reads nothing else.
            models.Index(
                fields=["ends_at"],
                include=["channel", "account", "started_at"],
                condition=models.Q(ends_at__isnull=False),
                name="subscription_by_end",
            ),
            models.Index(fields=["started_at"], include=["account"], name="subscription_by_start"),
            models.Index(
                fields=["next_reminder_at"],
                condition=models.Q(next_reminder_at__isnull=False, settled_at=None),
                name="subscription_remind",
            ),
        ]
        triggers = [
            refused_while_erasing(),
            counts_versions(),
            pgtrigger.ReadOnly(name="account_is_fixed", fields=["account", "channel"]),
            # A provider moves its own: a longer trial, a card that is charged on another day.
            pgtrigger.Protect(
                name="anchor_is_fixed",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__held_by="") & pgtrigger.Q(old__anchor_at__df=pgtrigger.F("new__anchor_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} ({self.channel}), {self.started_at:%Y-%m-%d}"

    def is_live(self, at: datetime) -> bool:
        return self.started_at <= at and (self.ends_at is None or at < self.ends_at)

    def is_over(self, at: datetime) -> bool:
        """Ended, or called off before it began; settled or not."""
        return self.settled_at is not None or (self.ends_at is not None and self.ends_at <= at)

    def on_trial(self, at: datetime) -> bool:
        return self.trial_ends_at is not None and at < self.trial_ends_at

    def is_suspended(self, at: datetime) -> bool:
        """Unpaid for good, or paused, at the provider that holds it: live, and grants what Free does."""
        begun = self.suspended_at is not None and self.suspended_at <= at
        return begun and (self.suspended_until is None or at < self.suspended_until)

    def cycle(self, at: datetime) -> Cycle:
        """The billing cycle that contains `at`.

        Where a provider holds it, the period that the provider says; of one that is over, because nobody has heard of
        the next yet, what arithmetic makes of it (`is_to_be_confirmed`). Else the trial while it lasts, then arithmetic
        on the anchor.
        """
        if self.period_started_at and self.period_ends_at:
            if at < self.period_ends_at:
                return Cycle(self.period_started_at, self.period_ends_at)
            return cycle_at(self._last_anchor(self.period_ends_at), self.interval, at)
        if at < self.anchor_at:
            return Cycle(self.started_at, self.anchor_at)
        return cycle_at(self.anchor_at, self.interval, at)

    def paid_through(self, at: datetime) -> datetime:
        """The instant up to which the customer has paid, or may try for nothing: the end of the cycle at `at`."""
        return self.cycle(at).end

    def is_to_be_confirmed(self, at: datetime) -> bool:
        """Whether its cycle is arithmetic on a period of the provider's that is over: the next word may correct it."""
        return self.period_ends_at is not None and self.period_ends_at <= at

    def _last_anchor(self, period_ends_at: datetime) -> datetime:
        """From what cycles after the provider's last period are counted.

        The anchor, if that period ended with one of its cycles: after a February, the 31st stays the 31st.
        """
        if self.anchor_at <= period_ends_at and cycle_at(self.anchor_at, self.interval, period_ends_at).start == (
            period_ends_at
        ):
            return self.anchor_at
        return period_ends_at

    @property
    def money_back_until(self) -> datetime:
        """The end of the 30 days, to the second, counted from the first payment: the provider's word if there is one.

        Without it the first payment is taken to have come when the first cycle began.
        """
        return (self.first_paid_at or self.anchor_at) + MONEY_BACK

    def money_back_open(self, at: datetime) -> bool:
        """Whether a refund can be asked for at `at`: something was paid here, less than 30 days ago."""
        if self.held_by:
            return self.first_paid_at is not None and self.first_paid_at <= at < self.money_back_until
        return self.channel == Channel.DIRECT and self.cents > 0 and self.anchor_at <= at < self.money_back_until

    def cycles_begun(self, at: datetime) -> int:
        """How many cycles have begun by `at`, and before the end. None during a trial."""
        last = at if self.ends_at is None else min(at, self.ends_at - timedelta(microseconds=1))
        return cycles_begun(self.anchor_at, self.interval, last)

    @property
    def successor(self) -> "Subscription | None":
        """What the account goes on with when this one ends, or within the second; None if there is a gap."""
        if self.ends_at is None:
            return None
        following = Subscription.objects.filter(
            account_id=self.account_id, started_at__gte=self.ends_at, started_at__lt=self.ends_at + NEAR
        )
        return following.exclude(pk=self.pk).real().order_by("started_at").first()

    @property
    def total_cents(self) -> int:
        """What one cycle costs, all seats together."""
        return self.cents * self.seats


def locked(subscription: Subscription) -> Subscription:
    """The subscription as it is now, locked after its account until the transaction ends. Raises `BeingErased`."""
    subscription = locked_in_order(subscription)
    if subscription.account.purging_at:
        raise BeingErased(subscription.account_id)
    return subscription


def locked_in_order(subscription: Subscription) -> Subscription:
    """As `locked`, also while the account is being erased: for what only ends, and for the erasing itself."""
    account = Account.objects.select_for_update(no_key=True).get(pk=subscription.account_id)
    subscription = Subscription.objects.locked().select_related("plan").get(pk=subscription.pk)
    subscription.account = account
    return subscription
