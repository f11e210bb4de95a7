"""The inbox: store first, answer, process later. The `deliveries` sweep.

A sender may tell us something once and never again. So a delivery is stored by one statement before it is
acknowledged. A beat sweep processes what is stored; a nudge to the worker only makes that sooner. Each delivery is
processed in one transaction with the change that it causes, and one that fails backs off and never blocks the others.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import LiteralString

from celery import current_app
from django.db import connection
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from accounts.database.durability import redone_if_lost
from accounts.database.prepared import statements_prepared
from accounts.inbox.delivery import Delivery
from accounts.inbox.delivery import Unprocessable as Unprocessable
from accounts.inbox.sources import SOURCES, InboxSource
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import overdue, run_due

log = logging.getLogger(__name__)

#: A run ends after this long; the next one goes on, and mails and what has ended get their turn in between.
RUN = timedelta(seconds=30)
#: A process nudges the worker at most once in so many seconds; the sweep comes every five anyway.
NUDGE_EVERY = 1.0
#: After a nudge that failed a process leaves the broker alone for so many seconds.
NUDGE_AFTER_FAILURE = 30.0

#: Table and columns have the names of the days when marketplaces alone told us anything: processes of before an upgrade
#: go on beside those of after it.
INSERT: LiteralString = """
INSERT INTO marketplace_delivery
       (source, hook, listing, delivery_id, event, content_type, body, named, digest, received_at, next_attempt_at,
        action, marketplace_account, outcome, alert, attempts, last_error)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '', '', '', '', 0, '')
ON CONFLICT (source, hook, delivery_id) DO NOTHING
"""

#: What processing writes: the body, which is most of the row, only where a handler has removed it.
PROCESSED = ("action", "account_id", "external_account", "processed_at", "outcome", "alert", "last_error")


def accept(
    source: InboxSource,
    *,
    delivery_id: str,
    event: str,
    content_type: str,
    body: bytes,
    at: datetime,
    hook: str = "",
    mode: str = "",
    named: Sequence[str] = (),
) -> bool:
    """Store a delivery: one statement, its own transaction. Returns whether it is new; a second one changes nothing.

    `mode` is one of the source's own; `named`: the sender's ids of whom the body names, by which a purge finds it.
    """
    digest = hashlib.sha256(body).digest()
    row = [source.name, hook, mode, delivery_id, event, content_type, body, list(named) or None, digest, at, at]
    with connection.cursor() as cursor:
        cursor.execute(INSERT, row)
        return bool(cursor.rowcount == 1)


class _Nudge:
    """Tells the worker that there is something in the inbox, when that costs little. Failing is nobody's error."""

    def __init__(self) -> None:
        self.not_before = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self.not_before:
            return
        self.not_before = now + NUDGE_EVERY
        try:
            current_app.send_task("accounts.sweep", args=["deliveries"], expires=60)
        except (OperationalError, OSError) as error:
            self.not_before = now + NUDGE_AFTER_FAILURE
            log.warning("no nudge, the sweep will come by itself: %s", error)


nudge = _Nudge()


def preview(at: datetime) -> Iterator[str]:
    """What `process_due` would process at `at`, a line each."""
    for delivery in Delivery.objects.due(at).defer("body").iterator():
        yield f"{delivery.source} {delivery.event} {delivery.delivery_id}"


def process_due(at: datetime) -> int:
    """Process what is due at `at`. Returns how many deliveries were processed.

    The deliveries themselves were on disk before they were acknowledged.
    """
    with redone_if_lost(), statements_prepared():
        return run_due(Delivery.objects.due, _process, at=at, run=RUN, held=True)


def process_again(delivery: Delivery, *, at: datetime) -> bool:
    """Put a delivery that failed or was parked back in line. Returns whether it was one: processed stays processed."""
    return bool(Delivery.objects.unprocessed().filter(pk=delivery.pk).update(next_attempt_at=at))


def _process(delivery: Delivery, at: datetime) -> bool:
    if delivery.source not in SOURCES:
        raise Unprocessable(f"No app declares the source {delivery.source} any more.")
    delivery.outcome = SOURCES.named(delivery.source).handle(delivery, at)
    delivery.processed_at, delivery.last_error = at, ""
    delivery.save(update_fields=PROCESSED if delivery.body is not None else (*PROCESSED, "body"))
    return True


SWEEP = sweeps.Sweep("deliveries", run=process_due, preview=preview, late_after=timedelta(minutes=5))

INVARIANTS = (
    overdue(
        Delivery,
        "unprocessed-delivery",
        _("deliveries received more than 10 minutes ago and still not processed"),
        listed_by="processed_at__isempty=1",
    ),
    invariants.Invariant(
        "delivery-alert",
        _("processed deliveries that staff should look at"),
        lambda at: Delivery.objects.exclude(alert=""),
        warning=True,
    ),
)
