"""A customer who buys at GitHub: a personal account or an organisation there, and the account that it has here."""

from datetime import UTC, date, datetime, timedelta
from typing import Self

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.checks.schedule import SETTLING_TIME, Checked, CheckedQuerySet
from accounts.core.write_guard import refused_while_erasing
from accounts.models import Account
from marketplace.github.listing import ListingPlan
from marketplace.github.payloads import ListedPurchase
from subscriptions.models import Subscription

models.CharField.register_lookup(Lower)


class Doubt(models.TextChoices):
    SAME_DAY = "same_day", _("dated the day of a new purchase")
    OLDER = "older", _("dated before GitHub's last answer")
    AHEAD = "ahead", _("dated ahead")


class GitHubCustomerQuerySet(CheckedQuerySet["GitHubCustomer"]):
    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))

    def active(self) -> Self:
        """Those that hold a purchase, as far as we know."""
        return self.filter(cancelled_at=None)

    def doubt_over(self, at: datetime) -> Self:
        """Those whose cancellation counts by now, if GitHub does not say otherwise."""
        return self.active().filter(doubt_until__lte=at).order_by("doubt_until", "pk")

    def billed_though_ended(self, at: datetime) -> Self:
        """Those whom GitHub goes on billing, though their subscription was ended here."""
        return self.active().filter(subscription__ends_at__lte=at)


class GitHubCustomer(Checked):
    """What we know of a marketplace account. Keyed by GitHub's numeric id; logins are refreshed and never trusted."""

    #: Longer than a run of the sweep, and the call that ends it.
    LEASE = timedelta(minutes=5)

    github_id = models.BigIntegerField(_("GitHub's id"), unique=True)
    login = models.CharField(_("login"), max_length=200)
    kind = models.CharField(_("type"), max_length=20)
    account = models.OneToOneField(
        Account, on_delete=models.PROTECT, related_name="github_customer", verbose_name=_("account")
    )
    #: The one that this purchase began, whoever ended it since: what GitHub says changes it alone. No constraint in the
    #: database: a purge erases subscriptions first.
    subscription = models.OneToOneField(
        Subscription,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="github_customer",
        verbose_name=_("subscription"),
    )
    listing_plan = models.ForeignKey(
        ListingPlan, on_delete=models.PROTECT, related_name="customers", verbose_name=_("listing plan")
    )
    yearly = models.BooleanField(_("billed yearly"), default=False)
    seats = models.PositiveIntegerField(_("seats"), default=1)
    # GitHub's dates are days: of two events of one day nobody knows the order.
    trial_ends_on = models.DateField(_("trial ends"), null=True, blank=True)
    next_billing_on = models.DateField(_("next billing"), null=True, blank=True)
    #: Since when what is known is in effect, as GitHub says.
    effective_on = models.DateField(_("in effect since"), null=True, blank=True)
    #: The day of a purchase that was not the first: a cancellation of that day may be of the one before.
    bought_again_on = models.DateField(_("bought again"), null=True, blank=True)
    #: Set from a cancellation on, until GitHub says again that something was bought.
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)
    pending_since = models.DateTimeField(_("change pending since"), null=True, blank=True)
    pending_effective_on = models.DateField(_("pending change takes effect"), null=True, blank=True)
    #: None: not said. No seats: the pending change is the cancellation.
    pending_seats = models.PositiveIntegerField(_("pending seats"), null=True, blank=True)
    pending_plan = models.ForeignKey(
        ListingPlan, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("pending plan")
    )
    #: Why a cancellation that was heard does not count yet: GitHub is asked first.
    doubt = models.CharField(_("cancellation in doubt"), max_length=10, choices=Doubt.choices, blank=True)
    #: When that message was received, and from when on it counts unless GitHub's answer says otherwise.
    doubt_received_at = models.DateTimeField(_("doubtful cancellation received"), null=True, blank=True)
    doubt_until = models.DateTimeField(_("counts from"), null=True, blank=True)
    #: Since when GitHub bills an account that another subscription holds: a double purchase.
    conflict_since = models.DateTimeField(_("double purchase since"), null=True, blank=True)
    #: Set when the tokens are gone: the customer has to authorise us again.
    authorisation_needed_at = models.DateTimeField(_("authorisation needed"), null=True, blank=True)

    objects = GitHubCustomerQuerySet.as_manager()

    class Meta:
        db_table = "marketplace_customer"
        verbose_name = _("GitHub customer")
        verbose_name_plural = _("GitHub customers")
        indexes = [
            models.Index(
                fields=["check_at", "id"], condition=models.Q(check_at__isnull=False), name="customer_check_due"
            ),
            # Logins are the same in capitals (`marketplace.desk.panels.by_github`).
            models.Index(OpClass(Lower("login"), name="text_pattern_ops"), name="customer_by_login"),
            models.Index(
                fields=["doubt_until"], condition=models.Q(doubt_until__isnull=False), name="customer_in_doubt"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(doubt="", doubt_received_at=None, doubt_until=None)
                | models.Q(doubt__in=Doubt.values, doubt_received_at__isnull=False, doubt_until__isnull=False),
                name="customer_doubt_is_whole",
            ),
            models.CheckConstraint(
                condition=models.Q(doubt="") | models.Q(cancelled_at=None), name="customer_doubt_before_cancellation"
            ),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return self.login or str(self.github_id)

    @property
    def pending_is_cancellation(self) -> bool:
        return self.pending_since is not None and self.pending_seats == 0

    def says_the_same(self, purchase: ListedPurchase) -> bool:
        """Whether GitHub's answer agrees with what we hold in plan, seats, cycle and trial."""
        ours = (self.listing_plan_id, self.yearly, self.seats, self.trial_ends_on)
        trial_ends_on = purchase.trial_ends_on if purchase.on_trial else None
        return ours == (purchase.plan.id, purchase.yearly, purchase.seats, trial_ends_on)

    def says_to_be_back(self) -> bool:
        """Whether a purchase was heard of since they cancelled, and GitHub has not answered yet."""
        back = self.bought_again_on is not None and self.bought_again_on >= (self.effective_on or self.bought_again_on)
        unanswered = self.check_since is not None and (self.checked_at is None or self.checked_at < self.check_since)
        return back and self.cancelled_at is not None and unanswered

    def answered_after(self, day: date | None) -> bool:
        """Whether GitHub has said on a later day than this that it holds: then a message of that day contradicts it."""
        if day is None or self.checked_at is None or self.cancelled_at or self.absent_since:
            return False
        return day < self.checked_at.astimezone(UTC).date()

    def forget_pending(self) -> None:
        """No change is pending any more. Not saved yet."""
        self.pending_since = self.pending_effective_on = self.pending_plan = self.pending_seats = None

    def forget_doubt(self) -> None:
        """No cancellation is in doubt any more. Not saved yet."""
        self.doubt, self.doubt_received_at, self.doubt_until = "", None, None

    def may_be_stale(self, at: datetime) -> bool:
        """Whether an answer at `at` that contradicts the last event is better asked again later."""
        return self.event_at is not None and at < self.event_at + SETTLING_TIME
