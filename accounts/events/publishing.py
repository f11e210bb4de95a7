"""Publishing: messages get their places in the feed, and their numbers in the sequence of their account.

Ids are handed out before the commit, so a reader that went by them would see 12, go on, and never see 11, whose
transaction took longer. So a message is published only after its commit, by one run at a time: a position once seen
is never followed by a lower one. Called by the `events` sweep.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import LiteralString

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.core import locks
from accounts.core.locks import Lock
from accounts.core.registry import Registry, function_name
from accounts.events import entitlements_told
from accounts.events.message import UNPUBLISHED, EventMessage
from accounts.jobs import invariants
from accounts.jobs.batches import run_batches

#: Published by one statement.
BATCH = 1000
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=1)
#: Beat publishes every five seconds; after so long without, something is wrong.
OVERDUE = timedelta(minutes=5)

#: Positions are microseconds, or the next number where several messages fall into one: so they go on rising after a
#: restore from a backup, whose last one may be long behind what readers have seen. `ids` are the rows that the caller
#: has locked.
_PUBLISH: LiteralString = """
WITH waiting AS (
    SELECT id, account_id FROM accounts_eventmessage WHERE id = ANY(%(ids)s)
), placed AS (
    SELECT id, account_id, row_number() OVER (ORDER BY id) AS place,
           row_number() OVER (PARTITION BY account_id ORDER BY id) AS nth,
           count(*) OVER (PARTITION BY account_id) AS many
      FROM waiting
), counted AS (
    INSERT INTO accounts_eventstream AS stream (account_id, last)
    SELECT account_id, count(*) FROM waiting GROUP BY account_id ORDER BY account_id
        ON CONFLICT (account_id) DO UPDATE SET last = stream.last + excluded.last
    RETURNING account_id, last
), before AS (
    SELECT greatest(
        (SELECT max(position) FROM accounts_eventmessage),
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    ) AS position
), published AS (
    UPDATE accounts_eventmessage AS message
       SET position = before.position + placed.place,
           sequence = counted.last - placed.many + placed.nth,
           body = replace(message.body, %(unpublished)s, format(
               '"sequence":%%s,"recorded_at":"%%s"', counted.last - placed.many + placed.nth,
               to_char(message.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           ))
      FROM placed JOIN counted USING (account_id), before
     WHERE message.id = placed.id
    RETURNING message.position
)
SELECT count(*), min(position), max(position) FROM published
"""

#: Is told from which position to which messages have just been published, and as of when, in the same transaction:
#: whatever is to become of them is written down with it.
Published = Callable[[int, int, datetime], None]
PUBLISHED: Registry[Published] = Registry(key=function_name)


def publish_due(at: datetime) -> int:
    """Publish everything that was committed by now. Returns how many messages that was."""
    entitlements_told.tell_dates(at)
    waiting = EventMessage.objects.waiting()

    def publish(rows: "QuerySet[EventMessage]", batch: int) -> int:
        return publish_some(at, rows, batch=batch)

    return run_batches(waiting, publish, batch=BATCH, run=RUN, noted=False)


def publish_some(at: datetime, rows: "QuerySet[EventMessage] | None" = None, *, batch: int = BATCH) -> int:
    """Publish up to `batch` of these messages, in one transaction. Returns how many; 0 where another run is at it."""
    waiting = EventMessage.objects.waiting() if rows is None else rows
    with transaction.atomic():
        if not locks.try_take(Lock.FEED):
            return 0
        # Those that a purge is deleting just now are passed over: they are not to be told any more, and take no number.
        ids = list(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True)[:batch])
        if not ids:
            return 0
        with connection.cursor() as cursor:
            cursor.execute(_PUBLISH, {"ids": ids, "unpublished": UNPUBLISHED})
            count, first, last = cursor.fetchone()
        for told in PUBLISHED.all():
            told(first, last, at)
    return int(count)


def preview(at: datetime) -> Iterator[str]:
    """What `publish_due` would publish at `at`, a line each."""
    for message in EventMessage.objects.waiting().defer("body").iterator():
        yield f"{message.account_id} {message}"


INVARIANTS = (
    invariants.Invariant(
        "unpublished-message",
        _("messages written more than five minutes ago that neither the feed nor an endpoint has"),
        lambda at: EventMessage.objects.waiting().filter(recorded_at__lt=at - OVERDUE),
        example="account_id",
    ),
)
