"""The `api-calls` sweep: forgets calls that nobody can repeat any more (`accounts.api.idempotency`)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import models, transaction

from accounts.api.idempotency import ApiCall, old
from accounts.jobs import sweeps
from accounts.jobs.batches import run_batches
from accounts.jobs.queues import Queue

#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=5)
#: Removed by one statement.
BATCH = 5000


def preview(at: datetime) -> Iterator[str]:
    """Which calls `forget` would forget at `at`, a line each."""
    for call in old(at).order_by("at").iterator():
        yield f"call {call.pk} of {call.at:%Y-%m-%d}"


def forget(at: datetime) -> int:
    """Forget the calls whose week is over at `at`. Returns how many."""

    def remove(rows: "models.QuerySet[ApiCall]", batch: int) -> int:
        with transaction.atomic():
            ids = list(rows.values_list("pk", flat=True)[:batch])
            removed, _by_model = ApiCall.objects.filter(pk__in=ids).delete()
        return removed

    return run_batches(old(at).order_by("at"), remove, batch=BATCH, run=RUN, noted=False)


SWEEP = sweeps.Sweep(
    "api-calls", run=forget, preview=preview, late_after=timedelta(days=2), queue=Queue.SLOW, alone=True
)
