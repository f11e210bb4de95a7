"""A customer who buys at GitHub: a personal account or an organisation there, and the account that it has here."""

from datetime import datetime, timedelta
from typing import Self

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.checks.schedule import SETTLING_TIME, Checked, CheckedQuerySet
from accounts.core.write_guard import refused_while_erasing
from accounts.models import Account
from marketplace.github.listing import ListingPlan
from subscriptions.models import Subscription

models.CharField.register_lookup(Lower)


class CustomerQuerySet(CheckedQuerySet["Customer"]):
    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))

    def active(self) -> Self:
        """Those that hold a purchase, as far as we know."""
        return self.filter(cancelled_at=None)


class Customer(Checked):
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
            # Logins are the same in capitals (`marketplace.desk.panels.by_github`).
            models.Index(OpClass(Lower("login"), name="text_pattern_ops"), name="customer_by_login"),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return self.login or str(self.github_id)

    def ask_again(self, at: datetime) -> None:
        """Have GitHub's next answer decide, whatever was heard before: nothing new was said. Not saved yet."""
        self.event_at = None
        self.ask(at)

    def may_be_stale(self, at: datetime) -> bool:
        """Whether an answer at `at` that contradicts the last event is better asked again later."""
        return self.event_at is not None and at < self.event_at + SETTLING_TIME
