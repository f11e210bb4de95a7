"""What staff do with a request: take it, answer it, extend its time, close it.

Each of these is recorded, and mailed to the customer where they are told something. A mail holds the answer's number
and reads its text when it goes out.
"""

from collections.abc import Callable
from datetime import datetime

from dateutil.relativedelta import relativedelta
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.core.registry import Registry, function_name
from accounts.core.text import wording
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.staff import StaffOnly, staff_member
from accounts.customers.user import User
from accounts.mail import notices
from accounts.support.messages import Message, Side, add
from accounts.support.requests import (
    DELETION_ANSWER,
    MAX_CASE_NUMBER,
    RequestClosed,
    RequestKind,
    RequestOutcome,
    SupportRequest,
    conclude,
    locked_open,
)

#: GDPR art. 12(3): where necessary, by two further months.
LONGEST_EXTENSION = relativedelta(months=2)


class UnderWay(Refused):
    """What was asked for has been approved: it has to be finished, or called off, before the request is closed."""


class NotExtensible(Refused):
    """Only the legal month of a deletion can be extended: once, within it, by two months at most."""


class NotPaidByUs(Refused):
    text = _(
        "Closed as refunded by hand is only what a marketplace paid back: record its case number first. "
        "A refund of ours closes the request by itself."
    )


class ReasonNeeded(Refused):
    text = _("Whoever is turned down is told why: please write an answer.")


#: Says what is under way with a request, or None.
Check = Callable[[SupportRequest], "str | Promise | None"]
#: What keeps a request from being closed.
UNDER_WAY: Registry[Check] = Registry(key=function_name)


def assign(request: SupportRequest, *, to: User | None, by: Actor, at: datetime) -> bool:
    """Give an open request to a member of staff, or to nobody. Returns whether anything changed.

    Raises `StaffOnly` for whoever assigns and for whoever is assigned, and `RequestClosed`.
    """
    staff_member(by, request.account_id)
    if to is not None and not (to.is_staff and to.is_active):
        raise StaffOnly
    with transaction.atomic():
        request = locked_open(request)
        if request.assigned_to_id == (to.pk if to else None):
            return False
        request.assigned_to, request.assigned_at = to, at if to else None
        request.save(update_fields=["assigned_to", "assigned_at"])
        history.record(
            request.account_id,
            AccountEvent.REQUEST_ASSIGNED,
            at=at,
            by=by,
            reference=request.reference,
            assigned_to=to.pk if to else None,
        )
    return True


def answer(request: SupportRequest, *, text: str, by: Actor, at: datetime) -> tuple[Message, bool]:
    """Answer an open request; it stays open, and waits for the customer. Returns the answer, and whether it is new.

    Raises `StaffOnly`, `RequestClosed`, `NoText`, `TextTooLong`.
    """
    staff_member(by, request.account_id)
    with transaction.atomic():
        request = locked_open(request)
        written, new = _answer(request, text=text, by=by, at=at)
        if new:
            _tell(request, "request_answered", f"answer:{written.pk}", at=at, message=written.pk, outcome="")
    return written, new


def close(request: SupportRequest, *, outcome: RequestOutcome, by: Actor, at: datetime, text: str = "") -> bool:
    """Close a request, with a last answer if there is one to give. Returns whether anything changed.

    Raises `StaffOnly`, `UnderWay`, `ReasonNeeded` (declining needs an answer: GDPR art. 12(4)), `NotPaidByUs`,
    `TextTooLong`.
    """
    staff_member(by, request.account_id)
    with transaction.atomic():
        try:
            request = locked_open(request)
        except RequestClosed:
            return False
        if going_on := next((found for check in UNDER_WAY.all() if (found := check(request))), None):
            raise UnderWay(going_on)
        if outcome == RequestOutcome.DECLINED and not text.strip():
            raise ReasonNeeded
        if outcome == RequestOutcome.REFUNDED and not request.case_number:
            raise NotPaidByUs
        written = _answer(request, text=text, by=by, at=at)[0] if text.strip() else None
        conclude(request, outcome=outcome, by=by, at=at)
        _tell(
            request,
            "request_answered",
            f"closed:{request.pk}",
            at=at,
            message=written.pk if written else None,
            outcome=str(outcome.value),
        )
    return True


def extend(request: SupportRequest, *, until: datetime, reason: str, by: Actor, at: datetime) -> bool:
    """Take until `until` for a complicated deletion, and tell the customer why. Returns whether anything changed.

    GDPR art. 12(3): by two further months at most, said within the first one; and once. The request goes on waiting
    for us. Raises `NotExtensible`, `StaffOnly`, `RequestClosed`, `NoText`, `TextTooLong`.
    """
    staff_member(by, request.account_id)
    with transaction.atomic():
        request = locked_open(request)
        if request.extended_at:
            if request.due_at == until:
                return False
            raise NotExtensible(_("The time for this answer has been extended before; that can be done once."))
        first = request.made_at + DELETION_ANSWER
        if request.kind != RequestKind.DELETION or request.decided_at:
            raise NotExtensible(_("Only the time for an answer about a deletion can be extended."))
        if at > first:
            raise NotExtensible(_("The first month is over: it is too late to extend it."))
        if not first < until <= first + LONGEST_EXTENSION:
            raise NotExtensible(_("It can be extended beyond the first month, by two further months at most."))
        written, _new = add(request, Side.SUPPORT, text=reason, by=by, at=at)
        request.first_due_at, request.due_at, request.extended_at = first, until, at
        request.save(update_fields=["first_due_at", "due_at", "extended_at"])
        history.record(
            request.account_id,
            AccountEvent.REQUEST_EXTENDED,
            at=at,
            by=by,
            reference=request.reference,
            due_at=until.isoformat(),
        )
        _tell(request, "request_extended", f"extended:{request.pk}", at=at, message=written.pk, due_at=until)
    return True


def record_case(request: SupportRequest, *, case_number: str, by: Actor, at: datetime) -> bool:
    """Write down under which number the marketplace has the case, and tell the customer. Returns whether it is new.

    The history says only that there is one. Raises `StaffOnly`, `RequestClosed`, `NoText`, `TextTooLong`.
    """
    staff_member(by, request.account_id)
    number = wording(case_number, limit=MAX_CASE_NUMBER)
    with transaction.atomic():
        request = locked_open(request)
        if request.case_number == number:
            return False
        request.case_number = number
        request.save(update_fields=["case_number"])
        event = history.record(
            request.account_id, AccountEvent.REQUEST_CASE_RECORDED, at=at, by=by, reference=request.reference
        )
        _tell(request, "request_case", f"case:{event.pk}", at=at, case_number=number)
    return True


def _answer(request: SupportRequest, *, text: str, by: Actor, at: datetime) -> tuple[Message, bool]:
    written, new = add(request, Side.SUPPORT, text=text, by=by, at=at)
    if new:
        request.answered_at = at
        request.save(update_fields=["answered_at"])
        history.record(
            request.account_id,
            AccountEvent.REQUEST_ANSWERED,
            at=at,
            by=by,
            reference=request.reference,
            message=written.pk,
        )
    return written, new


def _tell(request: SupportRequest, kind: str, occasion: str, *, at: datetime, **facts: object) -> None:
    notices.queue(
        f"accounts/{kind}",
        to=request.readers(),
        account=request.account,
        occasion=occasion,
        at=at,
        reference=request.reference,
        about=request.kind,
        **facts,
    )
