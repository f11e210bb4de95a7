"""What staff can do about a store that does not answer: ask it again, or state what became of it. That takes two.

A store that was shut down, or says by telephone what it can't say by HTTP, would hold up a certificate for ever. So one
member of staff states that nothing is left there, with the store's own case number, and another one approves. The
certificate lists it as stated by staff, without counts.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input
from accounts.core.refusal import Refused
from accounts.core.text import NoText
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, staff_member
from accounts.elsewhere import obliging
from accounts.elsewhere.remote_erasure import How, RemoteErasure, Said

MAX_CASE_NUMBER = 100


class AlreadyDone(Refused):
    text = _("The store has answered meanwhile: nothing is left there.")


class NotBegun(Refused):
    text = _("The erasing has not begun: nothing has been asked of the store yet.")


def state(row: RemoteErasure, *, case_number: str, at: datetime, by: Actor) -> bool:
    """State that nothing is left there, as the first of two. Returns whether anything changed.

    Raises `StaffOnly`, `AlreadyDone`, `NotBegun`, and `NoText` without a case number.
    """
    staff = staff_member(by, row.account_id)
    case_number = foreign_input.name(case_number, limit=MAX_CASE_NUMBER)
    if not case_number:
        raise NoText
    with transaction.atomic():
        current = _open(row)
        if current.proposed_by_id:
            return False
        current.proposed_by, current.proposed_at, current.case_number = staff, at, case_number
        current.save(update_fields=["proposed_by", "proposed_at", "case_number"])
        _record(current, AccountEvent.ELSEWHERE_STATED, at, by)
    return True


def take_back(row: RemoteErasure, *, at: datetime, by: Actor) -> bool:
    """Take a statement back before it is approved. Returns whether anything changed."""
    staff_member(by, row.account_id)
    with transaction.atomic():
        current = _open(row)
        if current.proposed_by_id is None:
            return False
        current.proposed_by, current.proposed_at, current.case_number = None, None, ""
        current.save(update_fields=["proposed_by", "proposed_at", "case_number"])
        _record(current, AccountEvent.ELSEWHERE_TAKEN_BACK, at, by)
    return True


def approve(row: RemoteErasure, *, at: datetime, by: Actor) -> bool:
    """Approve as the second person: the row is closed, on the word of two. Returns whether anything changed.

    Raises `NeedsAnotherPerson` for whoever has stated it, `StaffOnly`, and `AlreadyDone` once the store has answered.
    """
    staff = staff_member(by, row.account_id)
    with transaction.atomic():
        current = _open(row)
        if current.proposed_by_id is None:
            return False
        if current.proposed_by_id == staff.pk:
            raise NeedsAnotherPerson
        current.approved_by = staff
        current.close(How.BY_HAND, at)
        current.follow()
        current.save()
        _record(current, AccountEvent.ELSEWHERE_APPROVED, at, by)
        obliging.wake_purge(current, at)
    return True


def ask_again(row: RemoteErasure, *, at: datetime, by: Actor) -> bool:
    """Ask the store anew, by the same request: also one that has refused. Returns whether anything changed."""
    staff_member(by, row.account_id)
    with transaction.atomic():
        current = _open(row)
        current.said, current.attempts, current.next_attempt_at = Said.NOTHING, 0, at
        current.stuck_since = current.misconfigured_since = None
        current.follow()
        current.save()
        _record(current, AccountEvent.ELSEWHERE_ASKED_AGAIN, at, by)
    return True


def _open(row: RemoteErasure) -> RemoteErasure:
    current = obliging.lock(row)
    if not current.is_open:
        raise AlreadyDone
    if current.purge and current.purge.started_at is None:
        raise NotBegun
    return current


def _record(row: RemoteErasure, kind: AccountEvent, at: datetime, by: Actor) -> None:
    history.record(row.account_id, kind, at=at, by=by, store=row.store, request=str(row.request))
