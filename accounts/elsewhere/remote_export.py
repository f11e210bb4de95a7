"""What stores elsewhere hand out for an account's data export: one row for each store and export.

When an owner asks for an export every store that holds data of accounts is asked for its part, in the same transaction.
The archive waits for them: for a day, or until shortly before an erasing is due. Whoever has not delivered by then is
*missing*, and the archive, the mail and the history say so: an archive is never complete in silence. Asked for again,
an export asks every store again. Collected in `accounts.elsewhere.collecting`, packed in `accounts.exports.elsewhere`.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.write_guard import refused_while_erasing
from accounts.customers.account import Account, Role
from accounts.customers.user import User
from accounts.elsewhere.gate import StoreGate
from accounts.elsewhere.store import MAX_NAME, RemoteStore, stores
from accounts.erasure.purge import Purge
from accounts.jobs.due_work import DueWork, DueWorkQuerySet

#: So long an archive waits for a store.
WAIT = timedelta(hours=24)
#: What is to be erased soon is packed so long before, with what is there by then.
BEFORE_ERASING = timedelta(hours=2)


class Absence(models.TextChoices):
    """Why a store's part is not in an archive."""

    REFUSED = "refused", _("it refuses to hand it out")
    LATE = "late", _("it did not deliver in time")
    GONE = "gone", _("it is not asked any more")
    UNABLE = "unable", _("it hands out nothing by itself: ask us for what it holds")


class RemoteExportQuerySet(DueWorkQuerySet["RemoteExport"]):
    def open(self) -> Self:
        """Neither delivered nor missing."""
        return self.filter(delivered_at=None, missing_at=None)

    def pending(self) -> Self:
        return self.open().filter(account__purging_at=None)

    def settled_after(self, at: datetime) -> Self:
        return self.filter(models.Q(delivered_at__gt=at) | models.Q(missing_at__gt=at))

    def of_unfinished(self, account_id: uuid.UUID) -> Self:
        """Those of the archive that is being built: an account has one at a time."""
        return self.filter(account_id=account_id, export__finished_at=None)

    def with_file(self) -> Self:
        return self.exclude(file="")


class RemoteExport(DueWork):
    """What one store was asked to hand out for one export: accepted, delivered, or missing."""

    WAITING_SINCE = "until"
    OVERDUE = timedelta(hours=1)

    #: Its id, the same in every attempt.
    request = models.UUIDField(_("request"), default=uuid.uuid4, unique=True, editable=False)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_index=False, related_name="+", verbose_name=_("account")
    )
    export = models.ForeignKey(
        "accounts.Export", on_delete=models.CASCADE, related_name="elsewhere", verbose_name=_("data export")
    )
    store = models.CharField(_("store elsewhere"), max_length=MAX_NAME)
    asked_at = models.DateTimeField(_("asked for"))
    #: It is missing if it has not delivered by then.
    until = models.DateTimeField(_("waited for until"))
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True)
    missing_at = models.DateTimeField(_("given up"), null=True, blank=True)
    absence = models.CharField(_("why it is missing"), max_length=20, blank=True, choices=Absence.choices)
    #: Where the part lies until it is in the archive: in the account's folder, which goes with the account.
    file = models.CharField(_("file"), max_length=200, blank=True)
    size = models.PositiveBigIntegerField(_("size in bytes"), default=0)
    records = models.PositiveIntegerField(_("records"), default=0)
    #: As the store describes its records; empty: it does not.
    schema: "models.JSONField[Any, Any]" = models.JSONField(_("schema"), default=dict, blank=True)

    objects = RemoteExportQuerySet.as_manager()

    class Meta:
        verbose_name = _("part of a data export from elsewhere")
        verbose_name_plural = _("parts of data exports from elsewhere")
        constraints = [
            models.UniqueConstraint(fields=["export", "store"], name="remote_export_one_a_store"),
            models.CheckConstraint(
                condition=models.Q(delivered_at=None) | models.Q(missing_at=None),
                name="remote_export_delivered_or_missing",
            ),
            models.CheckConstraint(
                condition=models.Q(missing_at=None, absence="")
                | models.Q(missing_at__isnull=False) & ~models.Q(absence=""),
                name="remote_export_missing_says_why",
            ),
        ]
        indexes = [
            # As small as what is open.
            models.Index(
                fields=["next_attempt_at", "id"],
                condition=models.Q(delivered_at=None, missing_at=None),
                name="remote_export_due",
            ),
            models.Index(fields=["account"], name="remote_export_of_account"),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return f"{self.store}: {self.export_id}"

    def note_missing(self, why: Absence, at: datetime) -> bool:
        """Give up waiting. False if it has come meanwhile."""
        rows = RemoteExport.objects.open().filter(pk=self.pk)
        return bool(rows.update(missing_at=at, absence=why, last_error=self.last_error))


def ask_stores(export_id: uuid.UUID, account_id: uuid.UUID, *, at: datetime) -> None:
    """Write down that every store is asked for its part. In the transaction that makes the export.

    Asked is only who has said that it can: what a store of before exports makes of such a request nobody knows, and it
    may take it for one to erase. The others are missing from the beginning, and named like all that are.
    """
    until = _until(account_id, at)
    able = set(StoreGate.objects.filter(can_export=True).values_list("name", flat=True))
    RemoteExport.objects.bulk_create(_row(store, export_id, account_id, at, until, able) for store in stores())


def _row(
    store: RemoteStore, export_id: uuid.UUID, account_id: uuid.UUID, at: datetime, until: datetime, able: set[str]
) -> RemoteExport:
    row = RemoteExport(
        account_id=account_id,
        export_id=export_id,
        store=store.name,
        asked_at=at,
        until=until,
        next_attempt_at=at,
    )
    if store.name not in able:
        row.missing_at, row.absence = at, Absence.UNABLE
    return row


def _until(account_id: uuid.UUID, at: datetime) -> datetime:
    """For how long the archive waits: never into the erasing, of which it must be ready before."""
    due_at = Purge.objects.of(account_id).open().values_list("due_at", flat=True).first()
    return min(at + WAIT, max(due_at - BEFORE_ERASING, at)) if due_at else at + WAIT


def missing(export_id: uuid.UUID) -> list[RemoteExport]:
    """The parts that an archive has to do without."""
    return list(RemoteExport.objects.filter(export_id=export_id, missing_at__isnull=False).order_by("store"))


def delivered(account_id: uuid.UUID) -> list[RemoteExport]:
    """The parts that are there for the archive which is being built."""
    return list(RemoteExport.objects.of_unfinished(account_id).with_file().order_by("store"))


def people_of(account_id: uuid.UUID) -> list[dict[str, Any]]:
    """Whose own data a store is asked for beside the account's: the owner's. Other members' are theirs."""
    owner = User.objects.filter(memberships__account=account_id, memberships__role=Role.OWNER)
    return [{"id": pk, "external_id": external_id} for pk, external_id in owner.values_list("pk", "external_id")]
