"""Erasing an account's data, and proving it: the `purge` sweep.

Each purge in turn gets a stretch of time. In it, committed chunks: stores outside this database first, while the
account can still be looked up in them; then the rows, children before parents; then the files that were written down
with them. Every chunk notes its progress in its own transaction, so a kill at any moment loses nothing and counts
nothing twice. After the last chunk every store is counted again; only when nothing is left there is a certificate.
"""

import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Literal, LiteralString

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext_lazy as _
from psycopg.errors import QueryCanceled

from accounts.core.durability import redone_if_lost
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.erasure import certificates, file_deletions, inventory
from accounts.erasure.file_deletions import FileDeletion
from accounts.erasure.giving_way import give_way
from accounts.erasure.holds import Hold
from accounts.erasure.inventory import Erased, Order, Store
from accounts.erasure.people import DepartingPerson
from accounts.erasure.purge import CHUNK, LeftBehind, Purge, must_wait, start
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import MORE, Turn, attempt, overdue, run_due
from accounts.jobs.queues import Queue

#: One purge's turn, in seconds; then it's the next one's.
TURN = 20.0
#: A run of the sweep ends after this long; the next one goes on, and other slow work gets its turn in between.
RUN = timedelta(minutes=1)
#: A statement that takes longer is stopped, and the chunk halved. In milliseconds.
STATEMENT_TIMEOUT = 5000
#: Waiting for a lock is not slowness: tried again later, with the same chunk. In milliseconds.
LOCK_TIMEOUT = 2000
#: Files deleted between two notes of progress.
FILES = 500

#: Staff are shown a purge this long before its deadline: time to act, before anything is missed.
MARGIN = timedelta(hours=6)

#: The name under which files are counted.
FILE_STORE = "files"


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
    start(purge, at=at, present=_present(at, began))
    return erase(purge, at, began=began)


def _present(at: datetime, began: float) -> datetime:
    """The present instant of a run that is of `at` and began at `began`, on the monotonic clock.

    What a certificate proves bears its own instant, not that of the sweep which came along.
    """
    return at + timedelta(seconds=time.monotonic() - began)


def erase(purge: Purge, at: datetime, *, began: float | None = None) -> bool | Literal[Turn.MORE]:
    """Erase in committed chunks for about a turn. Returns whether the purge is verified, or has more to do.

    `began`: when the run that is of `at` began; by default now. Raises what a store raises.
    """
    turn = time.monotonic()
    began = turn if began is None else began
    stop = turn + TURN
    while _is_under_way(purge, at):
        if _next_step(purge, at, stop):
            return _verify(purge, at, began)
        if time.monotonic() >= stop:
            return MORE
    return False


def _is_under_way(purge: Purge, at: datetime) -> bool:
    """Whether there is anything to do now, as the row says; sees a hold that was set meanwhile."""
    purge.refresh_from_db()
    if purge.started_at is None or purge.verified_at:
        return False
    return not must_wait(purge, at, while_erasing=True)


def _next_step(purge: Purge, at: datetime, stop: float) -> bool:
    """Erase some of whatever comes first. Returns whether there was nothing left to erase."""
    for eraser in inventory.erasers():
        if not purge.is_done(eraser.name):
            erased = eraser.erase(purge.account_id)
            with transaction.atomic():
                _locked(purge)
                purge.note(eraser.name, erased, done=True)
                purge.save(update_fields=["progress"])
            return False
    if not _all_rows_are_gone(purge):
        _erase_chunks(purge, at, stop)
        return False
    return _erase_files(purge)


def _erase_chunks(purge: Purge, at: datetime, stop: float) -> None:
    """Erase rows, at least a chunk, until `stop`. One lost in a crash is erased again: its progress is lost with it."""
    with redone_if_lost():
        begun = time.monotonic()
        while _erase_rows(purge, at) and time.monotonic() < stop:
            give_way(time.monotonic() - begun)
            begun = time.monotonic()


def _all_rows_are_gone(purge: Purge) -> bool:
    return all(purge.is_done(store.name) for store in inventory.stores())


def _erase_rows(purge: Purge, at: datetime) -> bool:
    """One transaction: up to a chunk of rows, over as many stores as that takes. Too slow: half as many next time.

    Returns whether there may be more to erase just now.
    """
    try:
        with transaction.atomic():
            _locked(purge)
            if must_wait(purge, at, while_erasing=True):
                return False
            room = purge.chunk
            for store in inventory.stores():
                if purge.is_done(store.name):
                    continue
                room -= _erase_some(purge, store, room)
                # What comes after it may be its parent.
                if not purge.is_done(store.name):
                    break
            purge.save(update_fields=["progress"])
            return not _all_rows_are_gone(purge)
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled) or purge.chunk == 1:
            raise
        # Never the same size again: that would be stopped at the same place, for ever.
        Purge.objects.filter(pk=purge.pk).update(chunk=max(purge.chunk // 2, 1))
        return True


def _erase_some(purge: Purge, store: Store, limit: int) -> int:
    """Erase up to `limit` rows of a store, found by index or by walking on through its table. Returns how many."""
    walk = store.walk if isinstance(store, Erased) else None
    page = purge.page(store.name)
    if walk and page is not None:
        erased, following = walk.erase(purge.account_id, page, limit)
        if following is not None:
            purge.note(store.name, erased, done=False, page=following)
            return erased
        # At the end. Rows that were moved to pages behind us meanwhile are still to be found.
    behind = page is not None or store.order == Order.ACCOUNT
    if behind:
        _look_behind(purge)
    erased = store.erase(purge.account_id, limit)
    done = erased < limit
    if behind:
        _search("index")
    elif walk and not done and walk.is_worthwhile(purge.account_id):
        page = 0
    purge.note(store.name, erased, done=done, page=page)
    return erased


def _erase_files(purge: Purge) -> bool:
    """Delete some of the files that were written down, then write down what else lies in the account's folders.

    Returns whether there was nothing left. A file is deleted first and then counted and forgotten in one transaction:
    a kill in between deletes it twice and counts it once.
    """
    doomed = list(FileDeletion.objects.of(purge.account_id)[:FILES])
    file_deletions.delete_from_storage(doomed)
    found = [] if doomed else list(islice(_files_in_folders(purge.account_id), FILES))
    with transaction.atomic():
        _locked(purge)
        deleted, _by_model = FileDeletion.objects.filter(pk__in=[file.pk for file in doomed]).delete()
        FileDeletion.objects.bulk_create(
            [FileDeletion(account_id=purge.account_id, name=name) for name in found], ignore_conflicts=True
        )
        done = not doomed and not found
        if deleted or done != purge.is_done(FILE_STORE):
            purge.note(FILE_STORE, deleted, done=done)
            purge.save(update_fields=["progress"])
    if done:
        for folder in inventory.folders(purge.account_id):
            file_deletions.remove_folder(folder)
    return done


def _files_in_folders(account_id: uuid.UUID) -> Iterator[str]:
    for folder in inventory.folders(account_id):
        yield from file_deletions.files_below(folder)


def _verify(purge: Purge, at: datetime, began: float) -> bool:
    """Count every store again. Nothing left: the certificate, and the purge is over. Raises `LeftBehind`."""
    finished_at = _present(at, began)
    left = left_outside(purge.account_id)
    with transaction.atomic():
        _locked(purge)
        if purge.verified_at or must_wait(purge, at, while_erasing=True):
            return False
        _look_behind(purge)
        left |= left_in_database(purge.account_id)
        if not left:
            DepartingPerson.objects.of(purge.account_id).delete()
            assert purge.started_at is not None
            # Never before its beginning, whatever instant a sweep is asked to act as of.
            purge.finished_at = max(finished_at, purge.started_at)
            purge.verified_at = proven_at = max(_present(at, began), purge.finished_at)
            purge.last_error, purge.attempts, purge.left_behind_at = "", 0, None
            purge.save()
            certificate = certificates.append(purge, at=proven_at)
            history.record(
                purge.account_id,
                AccountEvent.PURGE_VERIFIED,
                at=proven_at,
                by=Actor.system(),
                purge=purge.pk,
                certificate=certificate.number,
                deadline_met=proven_at <= purge.deadline_at,
            )
            return True
    raise LeftBehind(", ".join(f"{name} {count}" for name, count in left.items()))


def left_in_database(account_id: uuid.UUID) -> dict[str, int]:
    """How much of the account is left in this database, by store; empty when nothing is."""
    counts = {store.name: store.count(account_id) for store in inventory.stores()}
    return {name: count for name, count in counts.items() if count}


def left_outside(account_id: uuid.UUID) -> dict[str, int]:
    """How much of the account is left in files and in stores outside this database."""
    counts = {eraser.name: eraser.count(account_id) for eraser in inventory.erasers()}
    counts[FILE_STORE] = sum(1 for _name in _files_in_folders(account_id)) + FileDeletion.objects.of(account_id).count()
    return {name: count for name, count in counts.items() if count}


def _locked(purge: Purge) -> None:
    """Lock account and purge, in that order, and read the purge as it is now. Statements have a time limit."""
    with connection.cursor() as cursor:
        # In one message: on a busy machine each answer is waited for in a queue.
        cursor.execute(
            f"SET LOCAL lock_timeout = {LOCK_TIMEOUT:d}; SET LOCAL statement_timeout = {STATEMENT_TIMEOUT:d};"
            f"{_SEARCH['index']}"
        )
    Account.objects.select_for_update(no_key=True).filter(pk=purge.account_id).first()
    purge.refresh_from_db(from_queryset=Purge.objects.locked())


#: How rows are searched for. Left to itself the planner reads the whole table for an account that owns most of it, and
#: so each chunk reads over everything that the chunks before it have deleted (measured: a fifth of the rate after half
#: a million rows). An index gives the first row at once; a bitmap finds all of the account's rows before that, but
#: visits each page once, which is quicker where nearly all that it finds are dead.
_SEARCH: dict[str, LiteralString] = {
    "index": "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;"
    "SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on",
    "bitmap": "SET LOCAL enable_bitmapscan = on; SET LOCAL enable_indexscan = off;SET LOCAL enable_indexonlyscan = off",
}


def _search(way: Literal["index", "bitmap"]) -> None:
    """Search in this way for the rest of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_SEARCH[way])


def _look_behind(purge: Purge) -> None:
    """Search where nearly everything is dead: after a walk, and when the account's own row goes or all is counted.

    Once anything took too long, by index after all: slower, but PostgreSQL marks what it has followed in vain, so each
    attempt comes further than the one before.
    """
    if purge.chunk == CHUNK:
        _search("bitmap")


SWEEP = sweeps.Sweep("purge", run=purge_due, preview=preview, late_after=timedelta(minutes=15), queue=Queue.SLOW)

_SHOWN: dict[str, Any] = {"example": "account_id", "listed_by": "verified_at__isempty=1&called_off_at__isempty=1"}

INVARIANTS = (
    overdue(Purge, "purge-overdue", _("purges due for more than an hour and still not finished"), **_SHOWN),
    invariants.Invariant(
        "purge-deadline",
        _("purges whose legal deadline is less than six hours away or has passed"),
        lambda at: (
            Purge.objects.open()
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
