"""The inbox: store first, answer, process later. The `deliveries` sweep.

A marketplace tells us something once, and GitHub never again. So a delivery is stored by one statement before it is
acknowledged. A beat sweep processes what is stored; a nudge to the worker only makes that sooner. Each delivery is
processed in one transaction with the change that it causes, and one that fails backs off and never blocks the others.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import LiteralString

from celery import current_app
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from accounts import clock, invariants, sweeps
from marketplace.delivery import Delivery, Outcome, Source

log = logging.getLogger(__name__)

#: The first wait after a failure; it doubles with every further one.
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: A delivery unprocessed for so long is shown to staff.
OVERDUE = timedelta(minutes=10)
#: A process nudges the worker at most once in so many seconds; the sweep comes every five anyway.
NUDGE_EVERY = 1.0
#: After a nudge that failed a process leaves the broker alone for so many seconds.
NUDGE_AFTER_FAILURE = 30.0

INSERT: LiteralString = """
INSERT INTO marketplace_delivery
       (source, delivery_id, event, content_type, body, digest, received_at, next_attempt_at,
        action, marketplace_account, outcome, alert, attempts, last_error)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '', '', '', '', 0, '')
ON CONFLICT (source, delivery_id) DO NOTHING
"""

#: Processes a delivery inside the inbox's transaction, makes no calls to elsewhere, and says what came of it.
Handler = Callable[[Delivery, datetime], Outcome]
_handlers: dict[str, Handler] = {}


class Unprocessable(Exception):
    """The delivery can't be processed as it is, however often it is tried: it is parked for staff."""


def register_handler(source: Source, handler: Handler) -> None:
    """Say who processes a source's deliveries. Called once, by `MarketplaceConfig.ready`."""
    _handlers[source] = handler


def register() -> None:
    """Register the sweep and its invariants. Called once, by `MarketplaceConfig.ready`."""
    sweeps.register(sweeps.Sweep("deliveries", run=process_due, preview=preview, late_after=timedelta(minutes=5)))
    invariants.register(
        invariants.Invariant(
            "unprocessed-delivery",
            _("deliveries received more than 10 minutes ago and still not processed"),
            lambda at: Delivery.objects.unprocessed().filter(received_at__lt=at - OVERDUE),
            listed_by="processed_at__isempty=1",
        )
    )
    invariants.register(
        invariants.Invariant(
            "delivery-alert",
            _("processed deliveries that staff should look at"),
            lambda at: Delivery.objects.exclude(alert=""),
            warning=True,
        )
    )


def accept(source: Source, *, delivery_id: str, event: str, content_type: str, body: bytes, at: datetime) -> bool:
    """Store a delivery: one statement, its own transaction. Returns whether it is new; a second one changes nothing."""
    digest = hashlib.sha256(body).digest()
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [source, delivery_id, event, content_type, body, digest, at, at])
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
    """Process what is due at `at`. Returns how many deliveries were processed."""
    processed = 0
    stop = clock.now() + RUN
    while clock.now() < stop:
        found, done = _process_next(at)
        if not found:
            break
        processed += done
    return processed


def process_again(delivery: Delivery, *, at: datetime) -> bool:
    """Put a delivery that failed or was parked back in line. Returns whether it was one: processed stays processed."""
    return bool(Delivery.objects.unprocessed().filter(pk=delivery.pk).update(next_attempt_at=at))


def _process_next(at: datetime) -> tuple[bool, bool]:
    """Process the first due delivery that nobody else holds. Returns whether there was one, and whether it worked."""
    with transaction.atomic():
        delivery = Delivery.objects.due(at).select_for_update(skip_locked=True, no_key=True).first()
        if delivery is None:
            return False, False
        # A savepoint: a failure undoes what the handler did, and is noted under the same lock.
        try:
            with transaction.atomic():
                delivery.outcome = _handlers[delivery.source](delivery, at)
                delivery.processed_at, delivery.last_error = at, ""
                delivery.save()
        except Unprocessable as reason:
            _note_failure(delivery, str(reason), next_attempt_at=None)
            return True, False
        except Exception as error:
            # Whatever is wrong with one delivery is noted on it for staff, and never holds up the others.
            log.exception("delivery %s failed", delivery.pk)
            wait = min(FIRST_WAIT * 2 ** min(delivery.attempts, 20), LONGEST_WAIT)
            _note_failure(delivery, f"{type(error).__name__}: {error}", next_attempt_at=at + wait)
            return True, False
    return True, True


def _note_failure(delivery: Delivery, error: str, *, next_attempt_at: datetime | None) -> None:
    Delivery.objects.unprocessed().filter(pk=delivery.pk).update(
        attempts=delivery.attempts + 1,
        last_error=error[:2000],
        next_attempt_at=next_attempt_at,
        # As far as it could be read: staff search by it, and a purge finds it by it.
        action=delivery.action,
        marketplace_account=delivery.marketplace_account,
    )
