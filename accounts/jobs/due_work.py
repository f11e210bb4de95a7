"""Due work: rows that say what is to be done and when, and the one loop that does it.

Mails, exports, purges, deliveries, refunds, steps, questions to a marketplace: each is a row before anything happens,
and each is carried out by `run_due`, called by its sweep. The row owns its failure: whatever is raised while it is
worked on is noted on that row, which waits longer after each failure, and the loop goes on with the next one. So no
row can stop another, nothing is told to a log alone, and what is late by age is shown to staff (`overdue`).

To add a kind of work: a model that extends `DueWork`, whose queryset extends `DueWorkQuerySet` and says what is
`pending`; a sweep that calls `run_due`; and its invariant, `overdue`.
"""

import logging
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, ClassVar, Literal, Self, TypeVar, cast

from django.db import DataError, InterfaceError, OperationalError, connection, models, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.errors import describe, storable
from accounts.core.log_context import about
from accounts.jobs.invariants import Invariant

log = logging.getLogger(__name__)

#: Doubling ends here: no wait is that long, and no power overflows.
MOST_DOUBLINGS = 20
#: Keeps the order of turns within a run: who had one comes after all that were due.
MICROSECOND = timedelta(microseconds=1)


class NotYet(Exception):
    """The work can't be done now, and nothing is wrong with it. Raised by the work itself.

    `until`: a date to wait for, else the back-off decides. `counts`: whether the next wait is longer for it.
    """

    def __init__(self, why: str, *, until: datetime | None = None, counts: bool = True) -> None:
        super().__init__(why)
        self.until = until
        self.counts = counts


class Turn(Enum):
    MORE = "more"

    def __bool__(self) -> bool:
        """It is not done."""
        return False


#: What work answers that has done a part and wants another turn, once everybody else who is due has had one.
MORE = Turn.MORE

Row = TypeVar("Row", bound="Retried")
#: Does what the row says, as of an instant. Answers whether it is done, or `MORE`.
Work = Callable[[Row, datetime], "bool | Literal[Turn.MORE]"]


class DueWorkQuerySet(models.QuerySet[Row]):
    def pending(self) -> Self:
        """Rows of which something is still to be done at some time. Each kind of work says which."""
        raise NotImplementedError

    def due(self, at: datetime) -> Self:
        """To be done at `at`, and not waiting for another attempt: the longest due first."""
        due_at = self.model.DUE_AT
        return self.pending().filter(**{f"{due_at}__lte": at}).order_by(due_at, "pk")

    def overdue(self, at: datetime) -> Self:
        """Still not done so long after they came that somebody should look: by their age, however often tried."""
        return self.pending().filter(**{f"{self.model.WAITING_SINCE}__lt": at - self.model.OVERDUE})


class Retried(models.Model):
    """What all due work can do; `DueWork` adds the fields. Rows with other names for them say which (`DUE_AT` …)."""

    DUE_AT: ClassVar[str] = "next_attempt_at"
    ATTEMPTS: ClassVar[str] = "attempts"
    LAST_ERROR: ClassVar[str] = "last_error"

    #: The first wait after a failure; it doubles with every further one.
    FIRST_WAIT: ClassVar[timedelta] = timedelta(minutes=1)
    LONGEST_WAIT: ClassVar[timedelta] = timedelta(hours=1)
    #: For so long a claimed row is left to the worker that claimed it: longer than a run and the turn that ends it.
    LEASE: ClassVar[timedelta] = timedelta(minutes=10)
    #: The field that says how old the work is, and the age at which it is shown to staff.
    WAITING_SINCE: ClassVar[str]
    OVERDUE: ClassVar[timedelta] = timedelta(minutes=15)

    #: Until when this row is ours, where it was claimed for work outside of a transaction.
    leased_until: datetime | None = None

    class Meta:
        abstract = True

    def put_off(
        self, why: str, at: datetime, *, until: datetime | None = None, counts: bool = True, **changes: object
    ) -> bool:
        """Note why it could not be done at `at`, and when it is tried again: at `until`, or as the back-off says.

        Returns whether it was noted: not if the lease was over and another worker has the row now, nor if somebody has
        put it back in line meanwhile. `changes` are fields written with it.
        """
        attempts = cast(int, getattr(self, self.ATTEMPTS))
        changes |= {
            self.DUE_AT: until or at + self.wait_after(attempts),
            self.ATTEMPTS: attempts + int(counts),
            self.LAST_ERROR: storable(why),
        }
        rows = type(self)._base_manager.filter(pk=self.pk)
        if self.leased_until:
            rows = rows.filter(**{self.DUE_AT: self.leased_until})
        for field, value in changes.items():
            setattr(self, field, value)
        self.leased_until = None
        return bool(rows.update(**changes))

    @classmethod
    def wait_after(cls, attempts: int) -> timedelta:
        """How long to wait after so many attempts that failed, and another one."""
        return min(cls.FIRST_WAIT * int(2 ** min(attempts, MOST_DOUBLINGS)), cls.LONGEST_WAIT)

    def fail(self, error: Exception, at: datetime) -> None:
        """Note on the row what was raised while it was worked on. Work that gives up at some time says so here."""
        if isinstance(error, NotYet):
            self.put_off(str(error), at, until=error.until, counts=error.counts)
        else:
            self.put_off(describe(error), at)


class DueWork(Retried):
    """A row of work. `attempts` counts those that failed; `last_error` says why the last one did."""

    next_attempt_at: "models.DateTimeField[Any, Any]" = models.DateTimeField(_("next attempt"))
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    last_error = models.TextField(_("last error"), blank=True)

    class Meta:
        abstract = True


def run_due(
    due: "Callable[[datetime], models.QuerySet[Row]]",
    work: "Work[Row]",
    *,
    at: datetime,
    run: timedelta,
    held: bool = False,
) -> int:
    """Work on every row that is due at `at`, one at a time, for about `run`. Returns how many were done.

    Never raises for what is wrong with one row. `due` is the queryset's method, asked again for each row, so that what
    another worker has done meanwhile is not done again. Rows that another worker holds are skipped.

    Without `held` the row is claimed (its next attempt lies a lease ahead), and worked on outside of any transaction:
    whoever is killed leaves it waiting, not lost. With `held` it stays locked and is worked on in one transaction with
    that lock: for work that makes no calls to elsewhere. A failure undoes what the work did, and is noted.
    """
    done = 0
    turn = at
    stop = time.monotonic() + run.total_seconds()
    while time.monotonic() < stop:
        answer = take_turn(due, work, at=at, turn=turn, held=held)
        if answer is None:
            break
        if answer is MORE:
            turn += MICROSECOND
        else:
            done += answer
    return done


def run_overlapping(
    due: "Callable[[datetime], models.QuerySet[Row]]", work: "Work[Row]", *, at: datetime, run: timedelta, threads: int
) -> int:
    """As `run_due`, by so many threads at once: for work that is mostly waiting for somebody else's answer.

    Each thread claims for itself, so that no row is worked on twice, and has a connection to the database of its own:
    there have to be so many. Inside a transaction, whose rows nobody else sees, there is one thread.
    """
    if threads == 1 or connection.in_atomic_block or not due(at)[1:2].exists():
        return run_due(due, work, at=at, run=run)

    def turns() -> int:
        try:
            return run_due(due, work, at=at, run=run)
        finally:
            connection.close()

    with ThreadPoolExecutor(threads, thread_name_prefix="due-work") as pool:
        # Each in a copy of this context: their lines of the log name the sweep, too.
        running = [pool.submit(copy_context().run, turns) for _thread in range(threads)]
    return sum(done.result() for done in running)


def take_turn(
    due: "Callable[[datetime], models.QuerySet[Row]]",
    work: "Work[Row]",
    *,
    at: datetime,
    turn: datetime,
    held: bool = False,
) -> "bool | Literal[Turn.MORE] | None":
    """Work on the first row that is due at `turn`, as of `at`. None if there was none. See `run_due`."""
    if held:
        return _hold_and_work(due, work, at, turn)
    try:
        row = claim(due, turn)
    except DataError as error:
        return _put_off_unread(due, turn, error)
    if row is None:
        return None
    answer = attempt(row, work, at)
    if answer is MORE:
        _give_another_turn(row, turn)
    return answer


def attempt(row: Row, work: "Work[Row]", at: datetime) -> "bool | Literal[Turn.MORE]":
    """Work on this row now, outside of any transaction. Whatever is raised is noted on it; then it is not done."""
    began = time.monotonic()
    try:
        with _about(row):
            return work(row, at)
    except Exception as error:
        # Whatever is wrong with one row is noted on it, for staff, and never holds up the others.
        _note(row, error, at)
        return False
    finally:
        if time.monotonic() - began > row.LEASE.total_seconds():
            log.error("%s %s was worked on for longer than its lease", row._meta.label, row.pk)


def claim(due: "Callable[[datetime], models.QuerySet[Row]]", at: datetime) -> Row | None:
    """Take the first row that is due at `at` for this worker, until its lease is over; None if there is none."""
    with transaction.atomic():
        rows = due(at)
        row = _locked(rows).first()
        if row is None:
            return None
        row.leased_until = at + row.LEASE
        setattr(row, row.DUE_AT, row.leased_until)
        rows.model._base_manager.filter(pk=row.pk).update(**{row.DUE_AT: row.leased_until})
    return row


def _hold_and_work(
    due: "Callable[[datetime], models.QuerySet[Row]]", work: "Work[Row]", at: datetime, turn: datetime
) -> "bool | Literal[Turn.MORE] | None":
    """Lock the first due row and work on it under the lock. None if there was none."""
    row = None
    try:
        with transaction.atomic():
            row = _locked(due(turn)).first()
            if row is None:
                return None
            with _about(row):
                answer = work(row, at)
            if answer is MORE:
                _give_another_turn(row, turn)
            elif not answer:
                # Neither done, nor more to do, nor an error: found again and again, it would fill the run.
                raise NotYet("the work left it as it was")
    except Exception as error:
        # As above: noted, and never in the way of the others. The commit is among what may fail: there is no savepoint,
        # which would cost every row that works; all of the transaction is undone, the lock too.
        if row is None:
            if isinstance(error, DataError):
                return _put_off_unread(due, turn, error)
            raise
        with transaction.atomic():
            # Under a lock again, unless another worker has taken the row up, or has done it, meanwhile.
            if _locked(due(turn)).filter(pk=row.pk).exists():
                # What the work did to it in memory is as undone as the rest.
                row.refresh_from_db(fields=[row.ATTEMPTS])
                _note(row, error, at)
        return False
    return answer


def _put_off_unread(due: "Callable[[datetime], models.QuerySet[Row]]", turn: datetime, error: DataError) -> bool:
    """Note on the first due row that it can't even be read, such as for a year that Python does not have."""
    with transaction.atomic():
        rows = due(turn)
        pk = _locked(rows).values_list("pk", flat=True).first()
        log.error("%s %s can't be read: %s", rows.model._meta.label, pk, describe(error))
        changes = {rows.model.DUE_AT: turn + rows.model.LONGEST_WAIT, rows.model.LAST_ERROR: describe(error)}
        rows.model._base_manager.filter(pk=pk).update(**changes)
    return False


def _about(row: Retried) -> AbstractContextManager[None]:
    """Lines of the log that are written while a row is worked on name it, and its account."""
    return about(row=f"{row._meta.label} {row.pk}", account=getattr(row, "account_id", None))


def _locked(rows: "models.QuerySet[Row]") -> "models.QuerySet[Row]":
    """These rows, locked until the transaction ends; without those that another worker holds."""
    return rows.select_for_update(skip_locked=True, no_key=True, of=("self",))


def _give_another_turn(row: Retried, turn: datetime) -> None:
    rows = type(row)._base_manager.filter(pk=row.pk)
    if row.leased_until:
        rows = rows.filter(**{row.DUE_AT: row.leased_until})
    rows.update(**{row.DUE_AT: turn + MICROSECOND})


def _note(row: Retried, error: Exception, at: datetime) -> None:
    """Have the row note its failure. Raises only what is the database's trouble, and not this row's."""
    if not isinstance(error, NotYet):
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s %s failed: %s\n%s", row._meta.label, row.pk, describe(error), frames)
    try:
        with transaction.atomic():
            row.fail(error, at)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        # Even its way of noting is broken: what every row can note is noted.
        log.exception("%s %s could not note its failure", row._meta.label, row.pk)
        with transaction.atomic():
            Retried.put_off(row, describe(error), at)


def overdue(work: "type[Retried]", name: str, message: "str | Promise", **shown: Any) -> Invariant:
    """The invariant of a kind of work: what is pending is not older than it may become. `shown`: see `Invariant`."""
    return Invariant(name, message, lambda at: cast(Any, work)._default_manager.overdue(at), **shown)
