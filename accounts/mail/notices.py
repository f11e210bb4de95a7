"""Notices: mails as rows.

A notice is queued in the transaction of the change that it tells of, and sent later by the `notices` sweep
(`accounts.mail.sending`). It holds facts, not text: the mail is written in the reader's language and zone when it goes
out.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.write_guard import refused_while_erasing
from accounts.customers.account import Account
from accounts.customers.user import User
from accounts.jobs.due_work import DueWork, DueWorkQuerySet


class NoticeQuerySet(DueWorkQuerySet["Notice"]):
    def unsent(self) -> Self:
        return self.filter(sent_at=None)

    def pending(self) -> Self:
        return self.unsent()


class Notice(DueWork):
    """One mail to one person, sent once.

    `occasion` names what it is about; the database allows one notice of an occasion for each person, so whatever
    queues it twice queues it once. Somebody who is invited is no person here as far as the account may know: such a
    mail goes to an `address`, and nobody can tell from the row whether anybody signs in by it.
    """

    LONGEST_WAIT = timedelta(hours=6)
    WAITING_SINCE = "queued_at"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    #: None: about nobody's account, such as that somebody is staff.
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, null=True, blank=True, related_name="notices", verbose_name=_("account")
    )
    recipient = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, blank=True, related_name="notices", verbose_name=_("recipient")
    )
    #: Where it goes if not to a recipient; else empty.
    address = models.EmailField(_("address"), blank=True, default="", db_default="")
    #: The template: `<app>/<name>` is `templates/<app>/mail/<name>.txt` and `.html`.
    kind = models.CharField(_("kind"), max_length=80)
    occasion = models.CharField(_("occasion"), max_length=120)
    #: What the mail says, as numbers, codes, references and ISO 8601 instants (keys ending in `_at`).
    facts: "models.JSONField[Any, Any]" = models.JSONField(_("facts"), default=dict)
    queued_at = models.DateTimeField(_("queued"))
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        constraints = [
            models.UniqueConstraint(fields=["recipient", "occasion"], name="notice_once_an_occasion"),
            models.UniqueConstraint(
                fields=["address", "occasion"], condition=~models.Q(address=""), name="notice_once_an_address"
            ),
            models.CheckConstraint(
                condition=models.Q(recipient__isnull=False, address="")
                | (models.Q(recipient=None) & ~models.Q(address="")),
                name="notice_to_a_person_or_an_address",
            ),
        ]
        indexes = [
            # As small as the backlog: nothing due costs nothing, however many were ever sent.
            models.Index(fields=["next_attempt_at", "id"], condition=models.Q(sent_at=None), name="notice_due"),
            # The same for who looks for mails that are stuck.
            models.Index(fields=["queued_at"], condition=models.Q(sent_at=None), name="notice_unsent"),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return f"{self.kind} ({self.occasion})"

    @property
    def reader(self) -> User | None:
        """Whose language and zone the mail is written in; None for an address by which nobody signs in."""
        return self.recipient or User.objects.filter(email=self.address).first()

    @property
    def sent_to(self) -> str:
        """The address that it goes to."""
        return self.recipient.email if self.recipient else self.address


#: Whether mails are queued at all (`sent_if`).
_sent: ContextVar[bool] = ContextVar("sent", default=True)


@contextmanager
def sent_if(wanted: bool) -> Iterator[None]:
    """What is queued in the block is queued only if `wanted`: who changes something may have told people already."""
    token = _sent.set(wanted)
    try:
        yield
    finally:
        _sent.reset(token)


def draft(
    kind: str, *, to: Iterable[User | str | None], account: Account | None, occasion: str, at: datetime, **facts: object
) -> list[Notice]:
    """One notice for each person or address, not yet stored: for callers that store many with `store`."""
    stored = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in facts.items()}
    return [
        Notice(
            account=account,
            recipient=person if isinstance(person, User) else None,
            address=person if isinstance(person, str) else "",
            kind=kind,
            occasion=occasion,
            facts=stored,
            queued_at=at,
            next_attempt_at=at,
        )
        for person in to
        if person
    ]


def store(drafts: Iterable[Notice]) -> None:
    """Queue drafted notices in the caller's transaction. Queueing the same occasion again changes nothing."""
    if _sent.get():
        Notice.objects.bulk_create(drafts, ignore_conflicts=True)


def queue(
    kind: str, *, to: Iterable[User | str | None], account: Account | None, occasion: str, at: datetime, **facts: object
) -> None:
    """Queue one notice for each person or address, in the caller's transaction; the same occasion again changes
    nothing.
    """
    store(draft(kind, to=to, account=account, occasion=occasion, at=at, **facts))
