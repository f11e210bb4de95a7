"""Why an account's data is to be erased: each cause is a row of its own, with its own dates.

A customer who cancels in the marketplace and one who asks for deletion oblige us twice. The purge follows the earliest
open obligation and is off only when none is left (`accounts.erasure.purge`): calling one off never forgets another. The
rows outlive the account, and hold no personal data.
"""

from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _


class PurgeCause(models.TextChoices):
    MARKETPLACE_CANCELLATION = "marketplace_cancellation", _("the customer cancelled in the marketplace")
    CUSTOMER_REQUEST = "customer_request", _("the customer asked for it")


class PurgeObligationQuerySet(models.QuerySet["PurgeObligation"]):
    def open(self) -> Self:
        """Not called off. Those of a purge that has been proven are fulfilled."""
        return self.filter(called_off_at=None)

    def soonest_first(self) -> Self:
        return self.order_by("due_at", "deadline_at", "id")


class PurgeObligation(models.Model):
    """One cause of a purge: when we heard of it, from when on it may be carried out, and by when it must be."""

    purge = models.ForeignKey(
        "accounts.Purge", on_delete=models.PROTECT, related_name="obligations", verbose_name=_("purge")
    )
    cause = models.CharField(_("cause"), max_length=30, choices=PurgeCause.choices)
    received_at = models.DateTimeField(_("received"))
    due_at = models.DateTimeField(_("due"))
    deadline_at = models.DateTimeField(_("deadline"))
    called_off_at = models.DateTimeField(_("called off"), null=True, blank=True)

    objects = PurgeObligationQuerySet.as_manager()

    class Meta:
        verbose_name = _("reason to erase")
        verbose_name_plural = _("reasons to erase")
        constraints = [
            models.UniqueConstraint(
                fields=["purge", "cause"],
                condition=models.Q(called_off_at=None),
                name="purge_obligation_one_open_a_cause",
            ),
            models.CheckConstraint(
                condition=models.Q(cause__in=PurgeCause.values), name="purge_obligation_cause_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(due_at__gte=models.F("received_at"), deadline_at__gte=models.F("due_at")),
                name="purge_obligation_due_before_deadline",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cause}, {self.deadline_at:%Y-%m-%d %H:%M}Z"
