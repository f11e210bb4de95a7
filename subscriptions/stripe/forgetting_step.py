"""A step of forgetting: what is to be done about one customer at Stripe, when, and what was done.

The rows know no person: Stripe's id of the customer, dates and counts. They outlive the account, because the last step
comes long after it.
"""

import uuid
from datetime import timedelta
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.jobs.due_work import DueWork, DueWorkQuerySet
from subscriptions.billing.holding import MAX_REFERENCE


class StepKind(models.IntegerChoices):
    """In the order in which they are done."""

    CONFIRM = 1, _("confirm that nothing runs")
    SETTLE = 2, _("void what is open, take the cards off")
    BLANK = 3, _("blank the customer")
    DELETE = 4, _("delete the customer")
    REDACT = 5, _("redact what is left")


class ForgettingStepQuerySet(DueWorkQuerySet["ForgettingStep"]):
    def pending(self) -> "ForgettingStepQuerySet":
        """Those whose turn it is: of one customer one step comes after the other."""
        earlier = ForgettingStep.objects.filter(
            account_id=models.OuterRef("account_id"),
            customer=models.OuterRef("customer"),
            kind__lt=models.OuterRef("kind"),
            done_at=None,
        )
        return self.filter(~models.Exists(earlier), done_at=None)

    def before_erasing(self, account_id: uuid.UUID) -> "ForgettingStepQuerySet":
        """Those still to be done for which the erasing waits: all but what is due long after it."""
        return self.filter(account_id=account_id, done_at=None).exclude(kind=StepKind.REDACT)


class ForgettingStep(DueWork):
    """One step about one customer at Stripe whose account is being erased, or has been."""

    WAITING_SINCE = "due_at"
    OVERDUE = timedelta(hours=1)

    #: No foreign key: the row outlives the account.
    account_id = models.UUIDField(_("account"), editable=False)
    #: Stripe's id, by which what remains there is found while the law wants it kept.
    customer = models.CharField(_("Stripe’s id"), max_length=MAX_REFERENCE)
    kind = models.PositiveSmallIntegerField(_("step"), choices=StepKind.choices)
    due_at = models.DateTimeField(_("due"))
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    #: Counts and ids of Stripe's; nothing about a person.
    facts: "models.JSONField[Any, Any]" = models.JSONField(_("facts"), default=dict, blank=True)

    objects = ForgettingStepQuerySet.as_manager()

    class Meta:
        verbose_name = _("step of forgetting")
        verbose_name_plural = _("steps of forgetting")
        constraints = [
            models.UniqueConstraint(fields=["account_id", "customer", "kind"], name="forgetting_step_once"),
            models.CheckConstraint(condition=models.Q(kind__in=StepKind.values), name="forgetting_step_kind_is_known"),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at", "id"], condition=models.Q(done_at=None), name="forgetting_step_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer}: {self.get_kind_display()}"

    def key(self, verb: str, about: str = "") -> str:
        """An idempotency key of this attempt alone: every call here may be repeated, and Stripe replays even a 500."""
        return f"forget:{self.pk}:{self.attempts}:{verb}:{about}"
