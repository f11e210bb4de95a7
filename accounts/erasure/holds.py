"""Holds: a legal or support reason to keep an account's data for now.

A purge under a hold waits and says so; when the hold is released or runs out, the purge goes on by itself. A hold
set while the erasing runs stops it between two chunks. A hold that would keep data beyond a purge's legal deadline
has no effect until a second member of staff has confirmed it.
"""

import uuid
from datetime import datetime
from typing import Any, Self

from django.db import models, transaction
from django.utils import formats, timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core.formats import local_time
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, staff_member
from accounts.customers.user import User
from accounts.erasure import outside
from accounts.erasure.purge import Purge

MAX_REASON = 2000


class HoldQuerySet(models.QuerySet["Hold"]):
    def of(self, account_id: uuid.UUID) -> Self:
        return self.filter(account_id=account_id)

    def current(self, at: datetime) -> Self:
        """Neither released nor run out at `at`, whether in effect or still to be confirmed."""
        return self.filter(released_at=None, set_at__lte=at, until__gt=at)

    def beyond_a_deadline(self) -> Self:
        """Those that reach beyond the legal deadline of an open purge of their account."""
        obligations = Purge.objects.open().filter(
            account_id=models.OuterRef("account_id"), deadline_at__lt=models.OuterRef("until")
        )
        return self.filter(models.Exists(obligations))

    def unconfirmed(self, at: datetime) -> Self:
        """Those that wait for a second person and have no effect until then."""
        return self.current(at).filter(confirmed_at=None).beyond_a_deadline()

    def active(self, at: datetime) -> Self:
        """Those that keep data at `at`."""
        return self.current(at).exclude(pk__in=self.unconfirmed(at).values("pk"))


class Hold(models.Model):
    """Why an account's data is kept for now: who said so, until when. The reason goes when the data does."""

    account_id = models.UUIDField(_("account"), editable=False)
    reason = models.TextField(_("reason"), max_length=MAX_REASON)
    # Staff by their ids: a hold outlives the people of the account as of the staff.
    set_by = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("set by")
    )
    set_at = models.DateTimeField(_("set"))
    until = models.DateTimeField(_("until"))
    confirmed_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="+",
        verbose_name=_("confirmed by"),
    )
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    released_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="+",
        verbose_name=_("released by"),
    )
    released_at = models.DateTimeField(_("released"), null=True, blank=True)
    #: Others who had been asked to erase before it was set, an entry each: whether that could be taken back.
    elsewhere: "models.JSONField[Any, Any]" = models.JSONField(
        _("asked elsewhere"), default=list, db_default=[], blank=True
    )

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        indexes = [models.Index(fields=["account_id", "until"], name="hold_of_account")]
        constraints = [
            models.CheckConstraint(condition=models.Q(until__gt=models.F("set_at")), name="hold_ends_after_start"),
            models.CheckConstraint(
                condition=models.Q(confirmed_at=None, confirmed_by=None)
                | models.Q(confirmed_at__gte=models.F("set_at"), confirmed_by__isnull=False)
                & ~models.Q(confirmed_by=models.F("set_by")),
                name="hold_confirmed_by_another",
            ),
            models.CheckConstraint(
                condition=models.Q(released_at=None, released_by=None)
                | models.Q(released_at__gte=models.F("set_at"), released_by__isnull=False),
                name="hold_released_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}, {self.until:%Y-%m-%d %H:%M}Z"

    def needs_confirmation(self, at: datetime) -> bool:
        """Whether it has no effect at `at` because it reaches beyond a legal deadline and nobody has confirmed it."""
        return Hold.objects.unconfirmed(at).filter(pk=self.pk).exists()


def reason_to_wait(account_id: uuid.UUID, at: datetime) -> str | None:
    hold = Hold.objects.of(account_id).active(at).order_by("-until").first()
    if hold is None:
        return None
    with timezone.override("UTC"):
        until = formats.date_format(local_time(hold.until), "DATETIME_FORMAT")
    return gettext("a hold until %(until)s UTC") % {"until": until}


def set_hold(account: Account, *, reason: str, until: datetime, at: datetime, by: Actor) -> Hold:
    """Keep the account's data until `until`. An erasing that runs stops before its next chunk.

    Check `needs_confirmation` afterwards: beyond a legal deadline it has no effect until `confirm_hold`. Raises
    `StaffOnly`, and `Account.DoesNotExist` when nothing is left to be held.
    """
    staff = staff_member(by, account.pk)
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        # Waits for the chunk that is being erased just now; the next one asks for holds.
        Purge.objects.of(account.pk).open().locked().first()
        hold = Hold.objects.create(account_id=account.pk, reason=reason, until=until, set_at=at, set_by=staff)
        history.record(account.pk, AccountEvent.HOLD_SET, at=at, by=by, hold=hold.pk, until=until.isoformat())
        outside.held(account.pk, at)
    return hold


def confirm_hold(hold: Hold, *, at: datetime, by: Actor) -> bool:
    """Confirm a hold as the second person. Returns whether anything changed.

    Raises `NeedsAnotherPerson` and `StaffOnly`.
    """
    staff = staff_member(by, hold.account_id)
    if staff.pk == hold.set_by_id:
        raise NeedsAnotherPerson
    with transaction.atomic():
        hold = _locked(hold)
        if hold.confirmed_at or hold.released_at or hold.until <= at:
            return False
        hold.confirmed_at, hold.confirmed_by = at, staff
        hold.save(update_fields=["confirmed_at", "confirmed_by"])
        history.record(hold.account_id, AccountEvent.HOLD_CONFIRMED, at=at, by=by, hold=hold.pk)
        outside.held(hold.account_id, at)
    return True


def release_hold(hold: Hold, *, at: datetime, by: Actor) -> bool:
    """End a hold. A purge that waited for it goes on with the next sweep. Returns whether anything changed."""
    staff = staff_member(by, hold.account_id)
    with transaction.atomic():
        hold = _locked(hold)
        if hold.released_at:
            return False
        hold.released_at, hold.released_by = at, staff
        hold.save(update_fields=["released_at", "released_by"])
        waiting = Purge.objects.of(hold.account_id).open().exclude(waiting_for="")
        waiting.update(next_attempt_at=models.functions.Greatest("due_at", models.Value(at)))
        history.record(hold.account_id, AccountEvent.HOLD_RELEASED, at=at, by=by, hold=hold.pk)
        outside.let_go(hold.account_id, at)
    return True


def _locked(hold: Hold) -> Hold:
    """The hold as it is now, its account, purge and row locked in that order."""
    Account.objects.select_for_update(no_key=True).filter(pk=hold.account_id).first()
    Purge.objects.of(hold.account_id).open().locked().first()
    return Hold.objects.select_for_update(no_key=True).get(pk=hold.pk)
