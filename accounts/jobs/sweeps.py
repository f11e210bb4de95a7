"""Sweeps: the jobs that carry out what has fallen due.

Celery beat asks for each by name (`CELERY_BEAT_SCHEDULE`); `manage.py sweep` runs them by hand, as of any instant.
A sweep looks for what is *due and not yet done*, never for what is due today, so a missed run is made up by the
next one, and a sweep beside itself is harmless. Each ends within the time of its queue (`accounts.jobs.queues`): what
it has not done by then is the next run's. Each app declares its own (`accounts.extension`).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from accounts.core import clock
from accounts.core.errors import describe
from accounts.core.locks import Lock
from accounts.core.log_context import about
from accounts.core.registry import Registry
from accounts.jobs import opening
from accounts.jobs.queues import Queue


@dataclass(frozen=True)
class Sweep:
    """`run` carries out what is due at `at` and returns how much that was; `preview` says a line for each."""

    name: str
    run: Callable[[datetime], int]
    preview: Callable[[datetime], Iterator[str]]
    #: `doctor` and `/readyz/` complain when the sweep has not finished for this long.
    late_after: timedelta
    #: Which workers carry it out.
    queue: Queue = Queue.NOW
    #: One run at a time: a second one beside it would bring nothing but the same questions and the same locks.
    alone: bool = False


class SweepRun(models.Model):
    """When a sweep was last asked for and last finished: the heartbeat of beat and worker together."""

    name = models.CharField(_("sweep"), max_length=40, primary_key=True)
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    handled = models.PositiveIntegerField(_("handled"), default=0)
    last_error = models.TextField(_("last error"), blank=True)

    class Meta:
        verbose_name = _("sweep")
        verbose_name_plural = _("sweeps")

    def __str__(self) -> str:
        return self.name


#: In the order of registration: what ends a subscription comes before what mails about it.
REGISTRY: Registry[Sweep] = Registry()


def registered() -> list[Sweep]:
    """All sweeps, in the order in which `manage.py sweep` runs them.

    What was heard comes first: it may change what the dates want. What staff want done comes after those. Exports go
    late, mail and messages later: they tell what the others did. Erasing goes last: what was still to be said has been
    said by then, but for its own proof. What it asks of others comes after it.
    """
    late = {
        "sessions": 1,
        "api-calls": 1,
        "bulk": 1,
        "export": 2,
        "notices": 3,
        "events": 3,
        "purge": 4,
        "last-mail": 5,
        "elsewhere": 5,
    }
    return sorted(REGISTRY.all(), key=lambda sweep: late.get(sweep.name, 0))


def named(name: str) -> Sweep:
    """The sweep of this name; `KeyError` if there is none."""
    return REGISTRY.named(name)


def route(
    _task: str, args: Sequence[object], _kwargs: Mapping[str, object], _options: Mapping[str, object], **_more: object
) -> dict[str, str] | None:
    """Celery's question which queue a message belongs to (`CELERY_TASK_ROUTES`)."""
    asked = next((sweep for sweep in REGISTRY.all() if [sweep.name] == list(args or ())), None)
    return {"queue": asked.queue.value} if asked else None


def run_and_note(sweep: Sweep, at: datetime) -> int | None:
    """Run a sweep as of `at` and note start, end and error for `/readyz/`. An error is noted and raised again.

    None, and nothing noted, if it is to run alone and another run is at work. Raises `Closed` after a restore.
    """
    with about(sweep=sweep.name):
        if not opening.known.is_open():
            raise opening.Closed
        if not sweep.alone:
            return _run_and_note(sweep, at)
        with alone(sweep.name) as is_alone:
            return _run_and_note(sweep, at) if is_alone else None


def _run_and_note(sweep: Sweep, at: datetime) -> int:
    started = clock.now()
    run, _created = SweepRun.objects.update_or_create(name=sweep.name, defaults={"started_at": started})
    try:
        handled = sweep.run(at)
    except Exception as error:
        # Noted for staff whatever it was, then left to the caller: the worker logs it, beat comes back.
        SweepRun.objects.filter(pk=run.pk).update(last_error=describe(error))
        raise
    SweepRun.objects.filter(pk=run.pk).update(finished_at=clock.now(), handled=handled, last_error="")
    return handled


def until(run: timedelta) -> Callable[[], bool]:
    """Whether a run that may take this long may go on: for sweeps that work in batches."""
    stop = time.monotonic() + run.total_seconds()
    return lambda: time.monotonic() < stop


@contextmanager
def alone(name: str) -> Iterator[bool]:
    """Hold the sweep of this name; whether that was possible. A killed worker's hold ends with it.

    A run is many transactions, so the lock is held by one beside them, on a connection of its own, that does nothing
    else. Of a transaction and not of a session, because PgBouncer hands a session on, with what it holds.
    """
    with psycopg.connect(**connection.get_connection_params()) as own:
        own.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        (is_alone,) = own.execute(
            "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [Lock.SWEEP, name]
        ).fetchone() or (False,)
        yield bool(is_alone)
