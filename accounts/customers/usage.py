"""How much an account has of what it can lose, as the vendor's own system says (`PUT /api/v1/accounts/<id>/usage/`).

A page never calls out: a product in another process sends its counts ahead of time, with the instant at which they were
counted. What is older than `FRESH_FOR` is not quoted any more: then the page says what is lost, and not how much.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.write_guard import refused_while_erasing
from accounts.customers.account import Account

#: A number two days old may be wrong by now, and a wrong number is worse than none.
FRESH_FOR = timedelta(hours=48)
MAX_CODE = 60
#: As large as the database holds.
MAX_COUNT = 2**63 - 1


class UsageCount(models.Model):
    """One number of one account: the loss that it belongs to (`accounts.customers.losses`), and as of when."""

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_index=False, related_name="usage", verbose_name=_("account")
    )
    code = models.CharField(_("code"), max_length=MAX_CODE)
    count = models.PositiveBigIntegerField(_("count"))
    as_of = models.DateTimeField(_("as of"))

    class Meta:
        verbose_name = _("usage count")
        verbose_name_plural = _("usage counts")
        constraints = [models.UniqueConstraint(fields=["account", "code"], name="usage_once_a_code")]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return f"{self.code}: {self.count}"


def note(account: Account, counts: Mapping[str, int], *, as_of: datetime) -> None:
    """Store these counts, by the codes of losses. What was counted later stays, whichever order they come in.

    Codes that are not named keep their counts. Raises `IntegrityError` while the account is being erased.
    """
    rows = [
        UsageCount(account=account, code=code, count=count, as_of=as_of)
        # In one order: two that come at once wait for each other, and not each for the other.
        for code, count in sorted(counts.items())
    ]
    with transaction.atomic():
        UsageCount.objects.bulk_create(rows, ignore_conflicts=True)
        for row in rows:
            mine = UsageCount.objects.filter(account=account, code=row.code, as_of__lte=as_of)
            mine.update(count=row.count, as_of=as_of)


def fresh(account: Account, at: datetime) -> dict[str, int]:
    """The counts that may still be quoted at `at`, by code."""
    counted = UsageCount.objects.filter(account=account, as_of__gt=at - FRESH_FOR)
    return dict(counted.values_list("code", "count"))
