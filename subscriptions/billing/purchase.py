"""A purchase: an owner has been sent to the provider's page to buy. It grants nothing; the provider's answer does."""

from functools import partial
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.references import new_reference
from accounts.core.write_guard import refused_while_erasing
from accounts.jobs.due_work import DueWork, DueWorkQuerySet
from accounts.models import Account, User
from subscriptions.billing.holding import MAX_REFERENCE
from subscriptions.plan import CURRENCY, Interval, Plan
from subscriptions.subscription import MAX_PROVIDER, Subscription


class PurchaseState(models.TextChoices):
    OPEN = "open", _("begun")
    COMPLETED = "completed", _("completed")
    EXPIRED = "expired", _("not completed")
    FAILED = "failed", _("failed")


class PurchaseQuerySet(DueWorkQuerySet["Purchase"]):
    def open(self) -> Self:
        """Which its buyer may still complete."""
        return self.filter(state=PurchaseState.OPEN)

    def pending(self) -> Self:
        return self.open()


class Purchase(DueWork):
    """What was chosen, by whom, and what became of it. An account has one open at most.

    Due is the question to the provider what became of it, which is asked when nothing else has said so.
    """

    WAITING_SINCE = "expires_at"

    #: By which the provider's session names it.
    reference = models.CharField(
        _("reference"), max_length=20, unique=True, default=partial(new_reference, "BUY"), editable=False
    )
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="purchases", db_index=False, verbose_name=_("account")
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", verbose_name=_("plan"))
    interval = models.PositiveSmallIntegerField(_("billed"), choices=Interval.choices)
    seats = models.PositiveIntegerField(_("seats"), default=1)
    #: The price that the buyer was shown, for a seat and cycle.
    cents = models.PositiveIntegerField(_("price in cents"))
    currency = models.CharField(_("currency"), max_length=3, default=CURRENCY)
    #: The provider's id of that price.
    price_reference = models.CharField(_("the price’s id there"), max_length=MAX_REFERENCE, blank=True)
    provider = models.CharField(_("provider"), max_length=MAX_PROVIDER)
    #: What the provider calls its page; empty until it has answered.
    session_reference = models.CharField(_("its id there"), max_length=MAX_REFERENCE, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=PurchaseState.choices, default=PurchaseState.OPEN)
    begun_at = models.DateTimeField(_("begun"))
    begun_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("begun by")
    )
    expires_at = models.DateTimeField(_("expires"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    #: What was bought.
    subscription = models.ForeignKey(
        Subscription,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="purchases",
        verbose_name=_("subscription"),
    )

    objects = PurchaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("purchase")
        verbose_name_plural = _("purchases")
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=models.Q(state=PurchaseState.OPEN), name="purchase_one_open_an_account"
            ),
            models.UniqueConstraint(
                fields=["provider", "session_reference"],
                condition=~models.Q(session_reference=""),
                name="purchase_session_is_of_one",
            ),
            models.CheckConstraint(condition=models.Q(state__in=PurchaseState.values), name="purchase_state_is_known"),
            models.CheckConstraint(condition=models.Q(seats__gt=0), name="purchase_of_a_seat_at_least"),
            models.CheckConstraint(
                condition=models.Q(subscription=None) | models.Q(state=PurchaseState.COMPLETED),
                name="purchase_completed_by_a_subscription",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-begun_at"], name="purchase_of_account"),
            models.Index(fields=["expires_at"], condition=models.Q(state=PurchaseState.OPEN), name="purchase_open"),
            models.Index(
                fields=["next_attempt_at", "id"], condition=models.Q(state=PurchaseState.OPEN), name="purchase_next"
            ),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return self.reference
