"""What a store's answer does to its row, whether we asked for it or it came by itself (`accounts.api.erasures`).

One transition an answer, under the lock of the purge and of the row. An answer to a request that was recalled, or that
is closed, changes nothing.
"""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.elsewhere import obliging
from accounts.elsewhere.gate import StoreGate
from accounts.elsewhere.protocol import Answer, Meaning, Report
from accounts.elsewhere.remote_erasure import How, RemoteErasure, Said

#: After the first answer a store is asked again after a minute, then twice as long, up to an hour.
FIRST_LOOK, LONGEST_LOOK = timedelta(minutes=1), timedelta(hours=1)


def note(row: RemoteErasure, answer: Answer, at: datetime, *, by: Actor, polled: bool = False) -> bool:
    """Write down what a store has said about the request of this row, at `at`. Returns whether it is done with that.

    `polled`: it was asked after, so it is asked after later next time.
    """
    with transaction.atomic():
        current = obliging.lock(row)
        if current.request != row.request or not current.is_open:
            return False
        if answer.meaning is Meaning.REPORT:
            assert answer.report is not None
            _report(current, answer.report, at, by)
        elif answer.meaning is Meaning.RUNNING:
            _has_it(current, Said(current.said) if current.was_accepted else Said.ACCEPTED, at)
        else:
            _failed(current, answer, at)
        if current.is_open and answer.meaning in (Meaning.REPORT, Meaning.RUNNING):
            current.polls += polled
            current.next_attempt_at = at + min(FIRST_LOOK * 2 ** min(current.polls, 20), LONGEST_LOOK)
        current.follow()
        current.save()
        if not current.is_open or current.said == Said.REFUSED:
            # What was waited for has come, or will not.
            obliging.wake_purge(current, at)
    return not current.is_open


def _report(row: RemoteErasure, report: Report, at: datetime, by: Actor) -> None:
    said, before = report.said, row.said
    assert said is not None
    _has_it(row, said, at)
    # A repeated request may answer zeros for what is gone already: what it has counted once stands.
    row.erased = {**row.erased, **{kind: max(count, row.erased.get(kind, 0)) for kind, count in report.erased.items()}}
    row.left = report.left
    if report.kept:
        row.kept = [kept.model_dump() for kept in report.kept]
    row.proof = report.proof or row.proof
    row.expected_by = report.expected_by or row.expected_by
    row.reason, row.ground = report.reason, report.ground
    row.stuck_since = (row.stuck_since or at) if said == Said.PARTLY else None
    if said == Said.DONE:
        row.close(How.ANSWERED, at)
        _record(row, AccountEvent.ELSEWHERE_DONE, at, by)
    elif said == Said.REFUSED and before != said:
        _record(row, AccountEvent.ELSEWHERE_REFUSED, at, by)


def _has_it(row: RemoteErasure, said: Said, at: datetime) -> None:
    """The store has the request, whatever it makes of it."""
    row.said, row.answered_at = said, at
    if row.asked_at is None:
        row.asked_at = at
    if said != Said.REFUSED:
        row.accepted_at = row.accepted_at or at
    row.misconfigured_since, row.last_error, row.attempts = None, "", 0
    row.version = StoreGate.objects.filter(pk=row.store).values_list("version", flat=True).first() or row.version


def _failed(row: RemoteErasure, answer: Answer, at: datetime) -> None:
    """No answer that says anything of the data."""
    wait = max(row.wait_after(row.attempts), answer.retry_after or timedelta())
    row.next_attempt_at, row.attempts, row.last_error = at + wait, row.attempts + 1, answer.why
    if answer.meaning is Meaning.MISCONFIGURED:
        row.misconfigured_since = row.misconfigured_since or at
        if row.was_accepted:
            # It does not know the request that it had accepted, after a restore of its own perhaps: asked anew.
            row.said = Said.NOTHING


def _record(row: RemoteErasure, kind: AccountEvent, at: datetime, by: Actor) -> None:
    history.record(row.account_id, kind, at=at, by=by, store=row.store, request=str(row.request))
