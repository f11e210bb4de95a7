"""A customer who buys at GitHub: a personal account or an organisation there, and the account that it has here."""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from accounts.writes import refused_while_erasing
from marketplace.github.listing import ListingPlan
from subscriptions.models import Subscription

#: A read just after an event may still show the old state (reference, 2.4): what contradicts it is asked again later.
SETTLING_TIME = timedelta(minutes=10)


class CustomerQuerySet(models.QuerySet["Customer"]):
    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))

    def check_due(self, at: datetime) -> Self:
        """Those whose state GitHub should be asked about by now."""
        return self.filter(check_at__lte=at).order_by("check_at", "pk")

    def active(self) -> Self:
        """Those that hold a purchase, as far as we know."""
        return self.filter(cancelled_at=None)


class Customer(models.Model):
    """What we know of a marketplace account. Keyed by GitHub's numeric id; logins are refreshed and never trusted."""

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
    trial_ends_at = models.DateTimeField(_("trial ends"), null=True, blank=True)
    next_billing_at = models.DateTimeField(_("next billing"), null=True, blank=True)
    #: When what is known took effect, as GitHub says: a midnight, good for comparing days only.
    effective_at = models.DateTimeField(_("in effect since"), null=True, blank=True)
    #: Set from a cancellation on, until GitHub says again that something was bought.
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)
    pending_since = models.DateTimeField(_("change pending since"), null=True, blank=True)
    pending_effective_at = models.DateTimeField(_("pending change takes effect"), null=True, blank=True)
    pending_plan = models.ForeignKey(
        ListingPlan, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("pending plan")
    )
    #: When the last webhook about this customer was processed: answers soon after it may be stale.
    event_at = models.DateTimeField(_("last event"), null=True, blank=True)
    #: When to ask GitHub next, and how often more after that.
    check_at = models.DateTimeField(_("next check"), null=True, blank=True)
    checks_left = models.PositiveSmallIntegerField(_("checks left"), default=0)
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True)
    check_attempts = models.PositiveIntegerField(_("failed checks"), default=0)
    check_error = models.TextField(_("last error"), blank=True)
    #: GitHub's first "has not purchased" while we hold a purchase; a second one, later, ends it.
    absent_since = models.DateTimeField(_("absent since"), null=True, blank=True)
    #: Set when the tokens are gone: the customer has to authorise us again.
    authorisation_needed_at = models.DateTimeField(_("authorisation needed"), null=True, blank=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        verbose_name = _("GitHub customer")
        verbose_name_plural = _("GitHub customers")
        indexes = [
            models.Index(
                fields=["check_at", "id"], condition=models.Q(check_at__isnull=False), name="customer_check_due"
            ),
            models.Index(fields=["login"], name="customer_by_login"),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return self.login or str(self.github_id)

    def heard_of(self, at: datetime) -> None:
        """Note an event, and have GitHub asked now and again when a stale answer is no longer likely. Not saved yet."""
        self.event_at = at
        self.check_at, self.checks_left, self.check_attempts = at, 2, 0

    def ask_again(self, at: datetime) -> None:
        """Have GitHub's next answer decide, whatever was heard before: nothing new was said. Not saved yet."""
        self.event_at = None
        self.check_at, self.checks_left, self.check_attempts = at, 2, 0

    def may_be_stale(self, at: datetime) -> bool:
        """Whether an answer at `at` that contradicts the last event is better asked again later."""
        return self.event_at is not None and at < self.event_at + SETTLING_TIME
