"""Inbox hygiene: the `hygiene` sweep empties the bodies of old deliveries, and forgets old refusals.

A raw body is kept to check a signature again and to process a delivery again; after `DELIVERY_BODY_DAYS` (90), or as
many days as its source declares, neither is of use, and it may hold personal data. The row stays, with its id
and digest.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q

from accounts.core import limits
from accounts.inbox import refused_messages
from accounts.inbox.delivery import Delivery, DeliveryQuerySet
from accounts.inbox.sources import SOURCES
from accounts.jobs import sweeps
from accounts.jobs.batches import run_batches
from accounts.jobs.queues import Queue

#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=5)
#: Emptied by one statement.
BATCH = 1000


def old(at: datetime) -> DeliveryQuerySet:
    """Deliveries whose body has been kept for long enough: as their source says, or else as the setting does."""
    own = {source.name: source.body_days for source in SOURCES.all() if source.body_days is not None}
    over = Q(received_at__lt=at - timedelta(days=settings.DELIVERY_BODY_DAYS))
    if own:
        over &= ~Q(source__in=own)
    for name, days in own.items():
        over |= Q(source=name, received_at__lt=at - timedelta(days=days))
    return Delivery.objects.filter(over, body__isnull=False)


def preview(at: datetime) -> Iterator[str]:
    """Which bodies `tidy` would empty and which refusals it would forget at `at`, a line each."""
    for delivery in old(at).defer("body").order_by("received_at").iterator():
        yield f"{delivery.source} {delivery.delivery_id} of {delivery.received_at:%Y-%m-%d}"
    for row in refused_messages.old(at).order_by("last_at").iterator():
        yield f"refusal {row}"
    for count in limits.old(at).order_by("last_at").iterator():
        yield f"count of {count}"


def tidy(at: datetime) -> int:
    """All of it at `at`. Returns how many rows were emptied or removed."""
    # The bodies last: one that resists is raised when all others are done.
    return refused_messages.forget_old(at) + limits.forget_old(at) + empty_old(at)


def empty_old(at: datetime) -> int:
    """Empty the bodies that have been kept for long enough at `at`. Returns how many."""

    def empty(rows: "models.QuerySet[Delivery]", batch: int) -> int:
        with transaction.atomic():
            ids = list(rows.values_list("pk", flat=True)[:batch])
            return Delivery.objects.filter(pk__in=ids).update(body=None, named=None)

    return run_batches(old(at).order_by("received_at"), empty, batch=BATCH, run=RUN, noted=False)


SWEEP = sweeps.Sweep("hygiene", run=tidy, preview=preview, late_after=timedelta(days=2), queue=Queue.SLOW, alone=True)
