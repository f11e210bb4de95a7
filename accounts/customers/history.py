"""The history of an account: what happened, when, and who did it.

Append-only, and free of personal data: people appear as ids, texts of customers not at all. So it can outlive a
purge. A trigger in the database refuses to change or delete a line.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

import pgtrigger
from django.db import models
from django.db.models.functions import Now
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.registry import Registry, function_name
from accounts.customers.account import Account
from accounts.customers.user import User


class ActorKind(models.TextChoices):
    OWNER = "owner", _("owner")
    MEMBER = "member", _("member")
    STAFF = "staff", _("support")
    SYSTEM = "system", _("automatic")
    MARKETPLACE = "marketplace", _("marketplace")
    API = "api", _("API")


@dataclass(frozen=True)
class Actor:
    """Who does something: a kind, and the person, or the token of the API, if there is one."""

    kind: ActorKind
    user: User | None = None
    #: The id of the token with which a system of the vendor's own has called (`accounts.api.tokens`).
    token: int | None = None

    @classmethod
    def owner(cls, user: User) -> Self:
        return cls(ActorKind.OWNER, user)

    @classmethod
    def member(cls, user: User) -> Self:
        return cls(ActorKind.MEMBER, user)

    @classmethod
    def staff(cls, user: User) -> Self:
        return cls(ActorKind.STAFF, user)

    @classmethod
    def system(cls) -> Self:
        return cls(ActorKind.SYSTEM)

    @classmethod
    def api(cls, token: int) -> Self:
        return cls(ActorKind.API, token=token)


#: Lines of the support desk's own begin with this: what staff did as staff, and who was turned away there.
DESK = "desk."


class Kind(Protocol):
    """What can happen: a member of an app's enumeration, or what staff can do (`accounts.desk.actions.action`)."""

    @property
    def value(self) -> str: ...
    @property
    def label(self) -> "str | Promise": ...


class EventQuerySet(models.QuerySet["Event"]):
    def story(self) -> "EventQuerySet":
        """Newest first; of one instant, the last written first."""
        return self.order_by("-at", "-id")

    def for_customers(self) -> "EventQuerySet":
        """Without what staff do among themselves, and without the support desk's own lines."""
        return self.exclude(kind__in=INTERNAL).exclude(kind__startswith=DESK)


class Event(models.Model):
    """One line of an account's history. Written by `record`, in the transaction of the change that it tells of."""

    #: No constraint in the database: the history outlives the account. None: of no account, such as a denied attempt.
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="events"
    )
    kind = models.CharField(_("what"), max_length=60)
    at = models.DateTimeField(_("when"))
    actor_kind = models.CharField(_("who"), max_length=12, choices=ActorKind.choices)
    #: The person; where the API did it, the token.
    actor_id = models.BigIntegerField(_("person"), null=True, blank=True)
    #: Ids, dates, codes and counts. Never names, addresses or texts.
    facts = models.JSONField(_("facts"), default=dict)
    #: The database's clock, beside `at`: shows a backdated or a time-travelling line for what it is.
    recorded_at = models.DateTimeField(_("recorded"), db_default=Now(), editable=False)

    objects = EventQuerySet.as_manager()
    #: The row that it tells of, for whoever is told at once (`RECORDED`). Not kept.
    subject: object = None

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [models.Index(fields=["account", "-at", "-id"], name="event_story")]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M:%S}Z"

    @property
    def label(self) -> str | Promise:
        """What happened, in the reader's words."""
        return KINDS.named(self.kind).label if self.kind in KINDS else self.kind


#: The kinds of events that the apps have declared.
KINDS: Registry[Kind] = Registry(key=lambda kind: kind.value)
#: Those that are shown to staff alone, such as that they wrote a note or passed a request on.
INTERNAL: set[str] = set()


#: Who is told of lines that have just been written, in the same transaction: what others are told of
#: (`accounts.events.telling`).
Told = Callable[[Sequence[Event]], None]
RECORDED: Registry[Told] = Registry(key=function_name)


def line(
    account_id: uuid.UUID | None, kind: Kind, *, at: datetime, by: Actor, subject: object = None, **facts: object
) -> Event:
    """A line as `record` writes it, not written yet: for whoever inserts rows of several tables together."""
    event = Event(
        account_id=account_id,
        kind=kind.value,
        at=at,
        actor_kind=by.kind,
        actor_id=by.user.pk if by.user else by.token,
        facts=facts,
    )
    event.subject = subject
    return event


def record(
    account_id: uuid.UUID | None, kind: Kind, *, at: datetime, by: Actor, subject: object = None, **facts: object
) -> Event:
    """Write a line of history. Facts are ids, dates (ISO 8601), codes and counts: no personal data.

    `subject` is the row that it tells of, as it is now: what others are told says more of it than the history does.
    """
    event = line(account_id, kind, at=at, by=by, subject=subject, **facts)
    together = _together.get()
    if together is None:
        event.save(force_insert=True)
        have_recorded([event])
    else:
        together.append(event)
    return event


#: The lines that wait for the end of the block; None outside of one.
_together: ContextVar[list[Event] | None] = ContextVar("together", default=None)


@contextmanager
def written_together() -> Iterator[None]:
    """Lines recorded in this block are written by one statement at its end, in their order.

    For one change of many parts, in the caller's transaction: nothing in the block may look for the lines, nor undo a
    part and go on.
    """
    lines: list[Event] = []
    token = _together.set(lines)
    try:
        yield
    finally:
        _together.reset(token)
    Event.objects.bulk_create(lines)
    have_recorded(lines)


def have_recorded(lines: Sequence[Event]) -> None:
    """Tell whoever is to be told of these lines, in the transaction that has written them."""
    for told in RECORDED.all():
        told(lines)
