"""Messages are kept for thirty days, sent or not; then they go, and with them what is left of erased accounts."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.customers.account import Account
from accounts.events.message import EventMessage, EventStream
from accounts.jobs import sweeps

#: Forgotten in one transaction.
BATCH = 1000
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=1)


def forget_old(at: datetime) -> int:
    """Delete messages that have been kept for long enough at `at`, with their dispatches. Returns how many."""
    go_on, done = sweeps.until(RUN), 0
    while go_on() and (forgotten := _forget_some(at)):
        done += forgotten
    return done


def _forget_some(at: datetime) -> int:
    with transaction.atomic():
        old = EventMessage.objects.old(at).order_by("recorded_at").select_for_update(skip_locked=True)
        found = dict(old.values_list("pk", "account_id")[:BATCH])
        if not found:
            return 0
        EventMessage.objects.filter(pk__in=found).delete()
        # A sequence goes on as long as its account, and as long as somebody may still be told of it.
        EventStream.objects.filter(
            ~Exists(Account.objects.filter(pk=OuterRef("account_id"))),
            ~Exists(EventMessage.objects.filter(account_id=OuterRef("account_id"))),
            account_id__in=set(found.values()),
        ).delete()
    return len(found)
