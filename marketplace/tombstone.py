"""Purchases whose account was erased here while the marketplace goes on with them: a task for staff.

Two people may decide to erase an account that a marketplace still bills. The marketplace doesn't know, and names the
purchase in its next list: without a word of this it would be taken for a new customer, with an account that nobody
owns. So what was erased leaves a tombstone: a keyed digest of the marketplace's number, which names nobody. When the
marketplace names the purchase again, the tombstone says so to staff, with the number that they need to end it there;
when it doesn't any more, or the customer comes back themselves, the tombstone goes.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.jobs import invariants

#: What staff have dealt with and is still named is shown again after so long: a cycle of the marketplace's bills.
SHOWN_AGAIN = timedelta(days=35)
SALT = "marketplace.tombstone"


class Marketplace(models.TextChoices):
    GITHUB = "github", "GitHub"
    #: What the first tombstones were called, and what their digests were made with.
    AWS = "aws_events", "AWS"


class TombstoneQuerySet(models.QuerySet["Tombstone"]):
    def of(self, source: Marketplace, number: object) -> Self:
        """That of the purchase with this number at the marketplace, also under a secret key that was replaced."""
        return self.filter(source=source, digest__in=[_digest(source, number, key) for key in _keys()])

    def open(self) -> Self:
        """Those that the marketplace names, and staff have not dealt with lately."""
        dealt_with = models.Q(dealt_with_at__gt=models.F("named_at") - SHOWN_AGAIN)
        return self.filter(named_at__isnull=False).exclude(dealt_with)


class Tombstone(models.Model):
    """One purchase of an account that was erased."""

    source = models.CharField(_("marketplace"), max_length=12, choices=Marketplace.choices)
    #: HMAC-SHA256 of the marketplace's number, under `SECRET_KEY`.
    digest = models.CharField(max_length=64)
    #: No foreign key: the row outlives the account.
    account_id = models.UUIDField(_("account"))
    made_at = models.DateTimeField(_("erased"))
    #: When the marketplace last named it since, and by which number: no more than staff need to end it there.
    named_at = models.DateTimeField(_("still named"), null=True, blank=True)
    number = models.CharField(_("number at the marketplace"), max_length=40, blank=True)
    dealt_with_at = models.DateTimeField(_("dealt with"), null=True, blank=True)

    objects = TombstoneQuerySet.as_manager()

    class Meta:
        verbose_name = _("erased purchase")
        verbose_name_plural = _("erased purchases")
        constraints = [
            models.UniqueConstraint(fields=["source", "digest"], name="tombstone_is_unique"),
            models.CheckConstraint(
                condition=models.Q(number="") | models.Q(named_at__isnull=False), name="tombstone_number_while_named"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.account_id}"


def leave(source: Marketplace, number: object, *, account_id: uuid.UUID, at: datetime) -> None:
    """The account of this purchase is being erased, and the marketplace goes on with it."""
    digest = _digest(source, number, settings.SECRET_KEY)
    Tombstone.objects.get_or_create(source=source, digest=digest, defaults={"account_id": account_id, "made_at": at})


def named(source: Marketplace, number: object, at: datetime) -> Tombstone | None:
    """The marketplace names this purchase: note it on its tombstone. None if it has none."""
    found = Tombstone.objects.of(source, number).first()
    if found:
        found.named_at, found.number = at, str(number)[:40]
        found.save(update_fields=["named_at", "number"])
    return found


def named_among(source: Marketplace, numbers: Iterable[str], at: datetime) -> int:
    """The marketplace's list names these purchases: note it on the tombstones among them. Returns how many."""
    tombstones = Tombstone.objects.filter(source=source)
    if not tombstones.exists():
        return 0
    told = {_digest(source, number, key): number for number in numbers for key in _keys()}
    found = list(tombstones.filter(digest__in=told))
    for row in found:
        row.named_at, row.number = at, told[row.digest][:40]
        row.save(update_fields=["named_at", "number"])
    return len(found)


def said_to_be_over(source: Marketplace, number: object) -> None:
    """The marketplace says that it is over: no task any more. The stone stays until its list says so, too."""
    Tombstone.objects.of(source, number).update(named_at=None, number="", dealt_with_at=None)


def lift(source: Marketplace, number: object) -> None:
    """The customer has come back themselves, and bought anew."""
    Tombstone.objects.of(source, number).delete()


def lift_unnamed(source: Marketplace, numbers: Iterable[object], *, named_before: datetime) -> None:
    """The marketplace's whole list names these purchases and no others: what it named before is over."""
    here = {_digest(source, number, key) for number in numbers for key in _keys()}
    gone = Tombstone.objects.filter(source=source, made_at__lt=named_before).exclude(digest__in=here)
    gone.delete()


def deal_with(tombstone: Tombstone, at: datetime) -> bool:
    """Staff have asked the marketplace to end it: it is shown again if it is still named a cycle later."""
    return bool(Tombstone.objects.open().filter(pk=tombstone.pk).update(dealt_with_at=at))


def _keys() -> list[str]:
    return [settings.SECRET_KEY, *(str(key) for key in settings.SECRET_KEY_FALLBACKS)]


def _digest(source: Marketplace, number: object, key: str) -> str:
    return salted_hmac(SALT, f"{source}:{number}", secret=key, algorithm="sha256").hexdigest()


INVARIANTS = (
    invariants.Invariant(
        "billed-after-erasure",
        _("purchases that a marketplace goes on with though their accounts were erased: have them ended there"),
        lambda at: Tombstone.objects.open(),
        example="account_id",
    ),
)
