"""Acts: what staff can do to a row.

An act is the same transition that the owner and the jobs use, never the edit of a field. It asks for a reason, and
for whatever else it needs (`form`; what explains itself, such as an answer, needs no reason). It is rehearsed, so that
staff see what will happen before it does. Then it is performed, in one transaction with the staff action that
says who did it and why, and a line of history.

A rehearsal performs the act and rolls it back. Every effect on the outside is a row first (a mail, a step), so what
the rehearsal shows is exactly what would be written, and nothing of it has happened.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.db import models, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core.form_fields import LongTextField
from accounts.core.refusal import Refused
from accounts.core.registry import Registry
from accounts.core.write_guard import BeingErased
from accounts.customers import history
from accounts.customers.history import DESK, Actor, Event
from accounts.customers.staff import staff_member
from accounts.desk.actions.log import MAX_REASON, StaffAction
from accounts.mail.notices import Notice
from accounts.mail.sending import write

#: What stands in place of a row's key where an act makes one.
NEW = "new"

#: A row of any model.
Row = Any
#: What a form found valid.
Values = Mapping[str, Any]


class PlainForm(forms.Form):
    """The form of an act that explains itself, such as an answer. Choices that hang on the row come from `self.row`."""

    def __init__(self, *args: Any, row: Row | None = None, **kwargs: Any) -> None:
        self.row = row
        super().__init__(*args, **kwargs)


class ActForm(PlainForm):
    """The form of an act that changes something for the customer: why, and whatever else the act needs."""

    reason = LongTextField(
        label=_("Reason"),
        limit=MAX_REASON,
        rows=3,
        help_text=_("For colleagues and auditors: why, on whose word, in which case. The customer does not see it."),
    )


@dataclass(frozen=True)
class Mail:
    """A mail that an act would send."""

    to: str
    subject: str
    text: str


@dataclass(frozen=True)
class Rehearsal:
    """What an act would write: what it would say at the end, lines of history, and mails."""

    said: str
    story: list[str]
    mails: list[Mail]

    @property
    def lines(self) -> list[str]:
        """All of it in plain lines."""
        told = [
            gettext("Mail to %(who)s: %(subject)s") % {"who": mail.to, "subject": mail.subject} for mail in self.mails
        ]
        return [*self.story, *told]


#: Carries the transition out. Says how it ended, to staff; None: nothing had to be changed. Raises `Refused`.
CarryOut = Callable[[Row, Values, Actor, datetime], "str | Promise | None"]


@dataclass(frozen=True)
class ActEvent:
    """The kind of the event that an act leaves in the history."""

    value: str
    label: str | Promise


@dataclass(frozen=True)
class Act:
    """Something staff can do to a row of `model`. `name` stands in URLs and in the history, as `desk.<name>`.

    `offered` decides whether its button is shown for a row: cheap, from what the row itself knows. What counts is
    what `carry_out` finds under its locks.
    """

    name: str
    label: str | Promise
    model: type[models.Model]
    #: The permission that it needs, such as `accounts.refund`.
    permission: str
    carry_out: CarryOut
    #: The account that the row is about; None where there is none.
    account_of: Callable[[Row], uuid.UUID | None]
    offered: Callable[[Row, datetime], bool] = lambda row, at: True
    form: type[PlainForm] = ActForm
    #: Ends something for the customer: its button is red.
    is_grave: bool = False
    #: Makes a new row: there is none that it could be done to, so `row` is None wherever an act gets one.
    makes: bool = False
    #: Offered in lists, too, for many rows at once: its form must not hang on the row.
    in_bulk: bool = False
    #: The page to go on with; the account's by default.
    leads_to: Callable[[Row], str] | None = None

    @property
    def event(self) -> ActEvent:
        """What the history says when it has been done."""
        return ActEvent(f"{DESK}{self.name}", self.label)

    def perform(self, row: Row, values: Values, *, by: Actor, at: datetime) -> str:
        """Carry the act out, and write down who did it and why. Returns how it ended, in words for staff.

        Where nothing had to be changed nothing is written. Raises `Refused`, with nothing changed.
        """
        account_id = self.account_of(row)
        staff = staff_member(by, account_id)
        with transaction.atomic():
            try:
                said = self.carry_out(row, values, by, at)
            except BeingErased as error:
                raise Refused(_("The account is being erased: nothing can be done to it any more.")) from error
            if said is None:
                return gettext("Nothing had to be changed: it was so already.")
            if "reason" in values:
                deed = StaffAction.objects.create(
                    account_id=account_id,
                    act=self.name,
                    target=f"{self.model._meta.label_lower}:{row.pk if row else NEW}",
                    reason=values["reason"],
                    by=staff,
                    at=at,
                )
                history.record(account_id, self.event, at=at, by=by, deed=deed.pk, target=str(row.pk) if row else NEW)
        return str(said)


REGISTRY: Registry[Act] = Registry()


def act_named(name: str) -> Act:
    """The act of this name; `KeyError` if there is none."""
    return REGISTRY.named(name)


def registered() -> list[Act]:
    """All acts, in the order of registration."""
    return REGISTRY.all()


def acts_of(model: type[models.Model]) -> list[Act]:
    """What can be done to rows of a model, in the order of registration."""
    return [act for act in registered() if act.model is model and not act.makes]


def acts_that_make(model: type[models.Model]) -> list[Act]:
    """What makes new rows of a model."""
    return [act for act in registered() if act.model is model and act.makes]


class _Undone(Exception):
    """Rolls a rehearsal back."""


def rehearse(act: Act, row: Row, values: Values, *, by: Actor, at: datetime) -> Rehearsal:
    """What the act would do to this row: performed, looked at, and rolled back. Raises `Refused`."""
    account_id = act.account_of(row)
    events, notices = Event.objects.filter(account=account_id), Notice.objects.filter(account=account_id)
    if act.makes:
        # Nobody can know yet which account it will be about.
        events = Event.objects.filter(at=at, actor_id=by.user.pk if by.user else None)
        notices = Notice.objects.filter(queued_at=at)
    rehearsal = None
    try:
        with transaction.atomic():
            last = events.aggregate(last=models.Max("id"))["last"] or 0
            queued = set(notices.filter(sent_at=None).values_list("pk", flat=True))
            said = act.perform(row, values, by=by, at=at)
            written = events.filter(id__gt=last).exclude(kind=act.event.value).order_by("id")
            mails = notices.filter(sent_at=None).exclude(pk__in=queued).select_related("recipient", "account")
            rehearsal = Rehearsal(said, [str(event.label) for event in written], [_mail(notice) for notice in mails])
            raise _Undone
    except _Undone:
        assert rehearsal is not None
    return rehearsal


def _mail(notice: Notice) -> Mail:
    message = write(notice, rehearsed=True)
    return Mail(notice.sent_to, str(message.subject), str(message.body))
