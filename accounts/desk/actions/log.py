"""Staff actions: what a member of staff did, to which account, and why.

The history says what happened, by ids. A staff action says why a person decided it, in that person's words; so
it is a row of its own, whose reason goes when the account's data does.
"""

import uuid
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.customers.user import User

#: Long enough for a case number and two sentences.
MAX_REASON = 1000


class StaffActionQuerySet(models.QuerySet["StaffAction"]):
    def of(self, account_id: uuid.UUID) -> Self:
        return self.filter(account_id=account_id)


class StaffAction(models.Model):
    """One act of one member of staff. Written in the transaction of what it changed."""

    #: No foreign key: it outlives the account. None: about nobody's account, such as an unknown delivery.
    account_id = models.UUIDField(_("account"), null=True, blank=True, editable=False)
    act = models.CharField(_("act"), max_length=60)
    #: What it was done to: the model's label and the row's key.
    target = models.CharField(_("done to"), max_length=120)
    reason = models.TextField(_("reason"), max_length=MAX_REASON)
    # Staff by their ids: a staff action outlives the people of the account as of the staff.
    by = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("done by")
    )
    at = models.DateTimeField(_("done"))

    objects = StaffActionQuerySet.as_manager()

    class Meta:
        db_table = "accounts_deed"
        verbose_name = _("staff action")
        verbose_name_plural = _("staff actions")
        indexes = [models.Index(fields=["account_id", "-at", "-id"], name="deed_story")]

    def __str__(self) -> str:
        return f"{self.act}, {self.at:%Y-%m-%d %H:%M}Z"
