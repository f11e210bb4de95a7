"""Erasing an account's data, and proving it: the `purge` sweep.

Each purge in turn gets a stretch of time. In it, committed chunks: stores outside this database first, while the
account can still be looked up in them; then the rows, children before parents; then the files that were written down
with them. Every chunk notes its progress in its own transaction, so a kill at any moment loses nothing and counts
nothing twice. After the last chunk every store is counted again; only when nothing is left, here or with others who
were asked (`accounts.erasure.outside`), there is a certificate.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.customers.account import Account
from accounts.database.durability import redone_if_lost
from accounts.erasure import inventory, outside
from accounts.erasure.giving_way import give_way
from accounts.erasure.holds import Hold
from accounts.erasure.purge import Purge
from accounts.erasure.starting import must_wait, start
from accounts.erasure.statements import all_rows_are_gone, erase_rows, lock
from accounts.erasure.storage import erase_files
from accounts.erasure.verification import present_of, verify
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import MORE, Turn, attempt, overdue, run_due
from accounts.jobs.queues import Queue

#: One purge's turn, in seconds; then it's the next one's.
TURN = 20.0
#: A run of the sweep ends after this long; the next one goes on, and other slow work gets its turn in between.
RUN = timedelta(minutes=1)
#: Staff are shown a purge this long before its deadline: time to act, before anything is missed.
MARGIN = timedelta(hours=6)


def preview(at: datetime) -> Iterator[str]:
    """Which purges `purge_due` would work on at `at`, a line each."""
    due = Purge.objects.due(at)
    names = Account.objects.in_bulk(list(due.values_list("account_id", flat=True)))
    for purge in due.iterator():
        account = names.get(purge.account_id)
        yield (
            f"{purge.account_id} {account.name if account else '-'}: purge due since "
            f"{purge.due_at:%Y-%m-%dT%H:%M:%SZ}, deadline {purge.deadline_at:%Y-%m-%dT%H:%M:%SZ}"
        )


def purge_due(at: datetime) -> int:
    """Give every purge that is due at `at` its turns, as long as the run lasts. Returns how many were completed."""
    return run_due(Purge.objects.due, partial(_start_and_erase, began=time.monotonic()), at=at, run=RUN)


def take_turn(purge: Purge, at: datetime) -> bool | Literal[Turn.MORE]:
    """Start this purge, or go on with it, for one turn. Returns whether it was completed, or has more to do.

    Whatever fails is noted on its row.
    """
    return attempt(purge, partial(_start_and_erase, began=time.monotonic()), at)


def _start_and_erase(purge: Purge, at: datetime, *, began: float) -> bool | Literal[Turn.MORE]:
    start(purge, at=at, present=present_of(at, began))
    return erase(purge, at, began=began)


def erase(purge: Purge, at: datetime, *, began: float | None = None) -> bool | Literal[Turn.MORE]:
    """Erase in committed chunks for about a turn. Returns whether the purge is verified, or has more to do.

    `began`: when the run that is of `at` began; by default now. Raises what a store raises.
    """
    turn = time.monotonic()
    began = turn if began is None else began
    stop = turn + TURN
    if _is_under_way(purge, at) and purge.finished_at:
        _look_again(purge)
    while _is_under_way(purge, at):
        if _next_step(purge, at, stop):
            return verify(purge, at, began)
        if time.monotonic() >= stop:
            return MORE
    return False


def _is_under_way(purge: Purge, at: datetime) -> bool:
    """Whether there is anything to do now, as the row says; sees a hold that was set meanwhile."""
    purge.refresh_from_db()
    if purge.started_at is None or purge.verified_at:
        return False
    if must_wait(purge, at, while_erasing=True):
        return False
    # Nothing is left here: before others are done there is nothing to count again.
    return not (purge.finished_at and outside.must_wait(purge, at))


def _look_again(purge: Purge) -> None:
    """Others are done: what was written since all was erased here, such as what staff did about them, goes first."""
    with transaction.atomic():
        lock(purge)
        for store in purge.progress:
            purge.note(store, 0, done=False)
        purge.save(update_fields=["progress"])


def _next_step(purge: Purge, at: datetime, stop: float) -> bool:
    """Erase some of whatever comes first. Returns whether there was nothing left to erase."""
    for eraser in inventory.erasers():
        if not purge.is_done(eraser.name):
            erased = eraser.erase(purge.account_id)
            with transaction.atomic():
                lock(purge)
                purge.note(eraser.name, erased, done=True)
                purge.save(update_fields=["progress"])
            return False
    if not all_rows_are_gone(purge):
        _erase_chunks(purge, at, stop)
        return False
    return erase_files(purge)


def _erase_chunks(purge: Purge, at: datetime, stop: float) -> None:
    """Erase rows, at least a chunk, until `stop`. One lost in a crash is erased again: its progress is lost with it."""
    with redone_if_lost():
        begun = time.monotonic()
        while erase_rows(purge, at) and time.monotonic() < stop:
            give_way(time.monotonic() - begun)
            begun = time.monotonic()


SWEEP = sweeps.Sweep("purge", run=purge_due, preview=preview, late_after=timedelta(minutes=15), queue=Queue.SLOW)

_SHOWN: dict[str, Any] = {"example": "account_id", "listed_by": "verified_at__isempty=1&called_off_at__isempty=1"}

INVARIANTS = (
    overdue(Purge, "purge-overdue", _("purges due for more than an hour and still not finished"), **_SHOWN),
    invariants.Invariant(
        "purge-deadline",
        _("purges whose legal deadline is less than six hours away or has passed"),
        lambda at: (
            Purge.objects.unfinished()
            .filter(deadline_at__lt=at + MARGIN)
            .exclude(account_id__in=Hold.objects.active(at).exclude(confirmed_at=None).values("account_id"))
        ),
        **_SHOWN,
    ),
    invariants.Invariant(
        "purge-left-behind",
        _("purges after which something was still there"),
        lambda at: Purge.objects.open().exclude(left_behind_at=None),
        **_SHOWN,
    ),
)
