"""The data export: all that an account holds, as an archive that its owner asks for and fetches.

Asking makes a row; `accounts.exports.builder` builds the archive and says so by mail; for a week the owner, and nobody
else, fetches it through links that expire within minutes. Then, or with the account, it is deleted.
"""

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from django.core import signing
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core import limits
from accounts.core.errors import describe
from accounts.core.write_guard import BeingErased, refuse_if_purging, refused_while_erasing
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.elsewhere import remote_export
from accounts.elsewhere.remote_export import RemoteExport
from accounts.exports.archive import discard
from accounts.jobs.due_work import DueWork, DueWorkQuerySet

#: How long a finished archive can be fetched.
KEPT_FOR = timedelta(days=7)
#: How long a link to it works: time to click on it, not to pass it on.
LINK = timedelta(minutes=10)
_SALT = "accounts.export"


class ExportQuerySet(DueWorkQuerySet["Export"]):
    def unfinished(self) -> Self:
        return self.filter(finished_at=None)

    def pending(self) -> Self:
        """To be begun or gone on with; not of accounts that are being erased, nor while others are waited for."""
        awaited = RemoteExport.objects.open().filter(export=models.OuterRef("pk"))
        return self.unfinished().filter(~models.Exists(awaited), account__purging_at=None)

    def overdue(self, at: datetime) -> Self:
        """Those that could have been built for an hour: the time for which they waited for others is not ours."""
        recently = RemoteExport.objects.filter(export=models.OuterRef("pk")).settled_after(at - self.model.OVERDUE)
        return super().overdue(at).filter(~models.Exists(recently))

    def fetchable(self, at: datetime) -> Self:
        return self.filter(expires_at__gt=at).exclude(file="")

    def expired(self, at: datetime) -> Self:
        """Whose archive should be gone by now, and may still be there."""
        return self.filter(expires_at__lte=at).exclude(file="").order_by("expires_at")


class Export(DueWork):
    """One archive of an account's data: asked for, being built, to be fetched, deleted."""

    WAITING_SINCE = "asked_at"
    OVERDUE = timedelta(hours=1)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_index=False, related_name="exports", verbose_name=_("account")
    )
    asked_for_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("asked for by")
    )
    asked_at = models.DateTimeField(_("asked for"))
    #: By part: how many are `done` of a `total`, and whether the part is `complete`.
    progress: "models.JSONField[Any, Any]" = models.JSONField(_("progress"), default=dict)
    #: Where the archive stands, to be gone on with from there; empty before the beginning.
    position: "models.JSONField[Any, Any]" = models.JSONField(_("position"), default=dict, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    file = models.FileField(_("file"), max_length=200, blank=True)
    size = models.PositiveBigIntegerField(_("size in bytes"), null=True, blank=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        verbose_name = _("data export")
        verbose_name_plural = _("data exports")
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=models.Q(finished_at=None), name="export_one_unfinished_an_account"
            ),
            models.CheckConstraint(
                condition=models.Q(finished_at=None, expires_at=None)
                | models.Q(finished_at__isnull=False, expires_at__gte=models.F("finished_at")),
                name="export_expires_when_finished",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-asked_at"], name="export_of_account"),
            # Both as small as what waits: with nothing due they cost nothing.
            models.Index(fields=["next_attempt_at"], condition=models.Q(finished_at=None), name="export_next"),
            models.Index(fields=["expires_at"], condition=~models.Q(file=""), name="export_expiry"),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return f"{self.account_id}, {self.asked_at:%Y-%m-%d %H:%M}Z"

    def fail(self, error: Exception, at: datetime) -> None:
        """As all due work. Without room on the disk, or without an account, what has been written goes at once."""
        if self.finished_at is None and isinstance(error, OSError | BeingErased):
            if self.is_built_in_place:
                discard(self.unfinished_path)
            self.put_off(describe(error), at, progress={}, position={})
        else:
            super().fail(error, at)

    @property
    def name(self) -> str:
        """The archive's name in the storage."""
        return f"{folder(self.account_id)}/{self.pk}.zip"

    @property
    def is_built_in_place(self) -> bool:
        """Whether archives lie on a disk of this machine, so that one can grow where it will lie."""
        return isinstance(default_storage, FileSystemStorage)

    @property
    def unfinished_path(self) -> Path:
        """Where it is built: beside the place where it will lie, so that the two are one file system."""
        return Path(default_storage.path(self.name)).with_suffix(".part")

    @property
    def done(self) -> int:
        return sum(part["done"] for part in self.progress.values())

    @property
    def total(self) -> int:
        return sum(part["total"] for part in self.progress.values())

    @property
    def missing(self) -> str:
        """The stores elsewhere whose parts are missing from it."""
        return ", ".join(row.store for row in remote_export.missing(self.pk))

    @property
    def awaited(self) -> list[RemoteExport]:
        """The stores elsewhere whose parts it waits for."""
        return list(RemoteExport.objects.open().filter(export=self.pk).order_by("store"))

    def is_fetchable(self, at: datetime) -> bool:
        return bool(self.file) and self.expires_at is not None and at < self.expires_at


def folder(account_id: uuid.UUID) -> str:
    """The folder of the storage that holds an account's archives, finished or not."""
    return f"exports/{account_id}"


def ask(account: Account, *, by: Actor, at: datetime) -> tuple[Export, bool]:
    """Have an archive made. Returns it, and whether it is new: one that is being built is the one asked for.

    Raises `BeingErased`, and `TooOften` for an account that has many made: each is read from every table.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).filter(pk=account.pk).first()
        refuse_if_purging(account.pk)
        if existing := Export.objects.unfinished().filter(account=account).first():
            return existing, False
        limits.limit("export", account.pk, most=MOST_AN_HOUR, at=at)
        export = Export.objects.create(account=account, asked_for_by=by.user, asked_at=at, next_attempt_at=at)
        remote_export.ask_stores(export.pk, account.pk, at=at)
        history.record(account.pk, AccountEvent.EXPORT_ASKED, at=at, by=by, export=str(export.pk))
    return export, True


#: So many archives of one account within an hour.
MOST_AN_HOUR = 5


class LinkExpired(Exception):
    """The link was good once. A new one is on the page."""


def link_token(export: Export, person: User) -> str:
    """What makes a link to the archive work, for this person and for a few minutes."""
    return signing.dumps([str(export.pk), person.pk], salt=_SALT)


def export_of_link(token: str, person: User) -> Export | None:
    """The export that this link of this person leads to; None if it is not theirs, or no link of ours.

    Raises `LinkExpired`, to the person whom it was made for only.
    """
    try:
        export_id, person_id = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    export = Export.objects.select_related("account").filter(pk=export_id).first()
    if export is None or person_id != person.pk:
        return None
    try:
        signing.loads(token, salt=_SALT, max_age=LINK)
    except signing.SignatureExpired as error:
        raise LinkExpired from error
    return export


def note_fetched(export: Export, *, by: Actor, at: datetime) -> None:
    history.record(export.account_id, AccountEvent.EXPORT_FETCHED, at=at, by=by, export=str(export.pk))
