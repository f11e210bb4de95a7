"""What must be so around the rows: the schema, the storage, the clock, workers for each queue.

`manage.py doctor`, `/readyz/` and `/metrics` ask these beside the invariants of the rows (`accounts.jobs.invariants`).
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import LiteralString

from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max
from django.utils.translation import gettext as _
from psycopg import sql

from accounts.core import clock
from accounts.core.registry import Registry
from accounts.jobs import sweeps
from accounts.jobs.queues import ENDS_WITHIN, GRACE, Queue
from accounts.jobs.sweeps import SweepRun

#: Further apart than this, what is due by one clock is not yet so by the other.
CLOCKS_APART = timedelta(seconds=5)


@dataclass(frozen=True)
class Fault:
    """Something around the rows is not as it must be. `examples` say what, and name nobody."""

    message: str
    examples: list[str]


@dataclass(frozen=True)
class Surrounding:
    name: str
    check: Callable[[datetime], Fault | None]


def migrations(_at: datetime) -> Fault | None:
    """Migrations that this version has and the database has not."""
    with_names = {f"{app}.{name}" for app, name in _on_disk() - set(MigrationRecorder(connection).applied_migrations())}
    return Fault(_("migrations have not been applied"), sorted(with_names)) if with_names else None


@cache
def _on_disk() -> frozenset[tuple[str, str]]:
    """They do not change while a process runs."""
    loader = MigrationLoader(None)
    return frozenset(key for key in loader.disk_migrations or ())


#: Tables that point at others, by name: what is erased there would be held up here, or be forgotten.
POINTING: LiteralString = """
SELECT DISTINCT pointing.relname
  FROM pg_constraint AS rule
  JOIN pg_class AS pointing ON pointing.oid = rule.conrelid
  JOIN pg_class AS target ON target.oid = rule.confrelid
 WHERE rule.contype = 'f' AND pointing.relnamespace = current_schema()::regnamespace
   AND target.relname = ANY(%(ours)s) AND pointing.relname <> ALL(%(ours)s)
 ORDER BY 1
"""


def left_behind(_at: datetime) -> Fault | None:
    """Tables of a product that was taken out of PRODUCT_APPS, with rows: nobody exports or erases them any more."""
    ours = connection.introspection.django_table_names(include_views=False)
    with connection.cursor() as cursor:
        cursor.execute(POINTING, {"ours": ours})
        pointing = [name for (name,) in cursor.fetchall()]
        found = []
        for name in pointing:
            cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(name)))
            if cursor.fetchone() == (True,):
                found.append(name)
    if not found:
        return None
    return Fault(
        _("tables hold rows of accounts that no app erases: put it back, or remove them by its migrations"), found
    )


def storage(_at: datetime) -> Fault | None:
    """Whether files can be written where exports and thumbnails go; in a bucket, whether they can be erased there."""
    if not isinstance(default_storage, FileSystemStorage):
        ask: Callable[[], str] | None = getattr(default_storage, "fault", None)
        why = ask() if ask else ""
        return Fault(_("bucket of files can't be used, or would keep what is erased"), [why]) if why else None
    folder = Path(default_storage.location)
    while not folder.exists():
        # Made when the first file is.
        folder = folder.parent
    try:
        handle, name = tempfile.mkstemp(prefix=".probe-", dir=folder)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        return Fault(_("folder of files can't be written to"), [os.strerror(error.errno or 0)])
    return None


def clocks(_at: datetime) -> Fault | None:
    """Whether this machine's clock goes with the database's."""
    with connection.cursor() as cursor:
        before = clock.now()
        cursor.execute("SELECT clock_timestamp()")
        ((there,),) = cursor.fetchall()
    apart = there - before
    if abs(apart) <= CLOCKS_APART:
        return None
    return Fault(_("clock differs from the database's"), [f"{apart.total_seconds():+.0f} s"])


def last_finished(queue: Queue) -> datetime | None:
    """When a worker of this queue last finished anything."""
    names = [sweep.name for sweep in sweeps.registered() if sweep.queue is queue]
    found: datetime | None = SweepRun.objects.filter(name__in=names).aggregate(last=Max("finished_at"))["last"]
    return found


def workers(at: datetime) -> Fault | None:
    """Queues in which nothing ends, though beat lives: another queue's work does. Every run ends within a time."""
    last = {queue: last_finished(queue) for queue in Queue}
    alive = {queue for queue, when in last.items() if when and at - when <= ENDS_WITHIN[queue] + 2 * GRACE}
    without = [queue.value for queue in Queue if queue not in alive]
    if not alive or not without:
        return None
    return Fault(_("queue has no worker"), without)


REGISTRY: Registry[Surrounding] = Registry()
SURROUNDINGS = (
    Surrounding("migration-pending", migrations),
    Surrounding("left-behind", left_behind),
    Surrounding("storage", storage),
    Surrounding("clock", clocks),
    Surrounding("queue-without-worker", workers),
)
