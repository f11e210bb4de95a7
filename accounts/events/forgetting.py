"""Messages are kept for thirty days, sent or not; then they go, and with them what is left of erased accounts."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.customers.account import Account
from accounts.events.dispatch import Dispatch, Lane
from accounts.events.endpoint import Endpoint
from accounts.events.message import KEPT_FOR, EventMessage, EventStream
from accounts.jobs import sweeps

#: Forgotten in one transaction.
BATCH = 1000
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=1)


def forget_old(at: datetime) -> int:
    """Delete messages that have been kept for long enough at `at`, with their dispatches. Returns how many.

    Tests of endpoints are kept as long, and so are endpoints that were removed.
    """
    go_on, done = sweeps.until(RUN), 0
    while go_on() and (forgotten := _forget_some(at)):
        done += forgotten
    Dispatch.objects.tests().filter(made_at__lt=at - KEPT_FOR).delete()
    Endpoint.objects.filter(removed_at__lt=at - KEPT_FOR).delete()
    return done


def _forget_some(at: datetime) -> int:
    with transaction.atomic():
        old = EventMessage.objects.old(at).order_by("recorded_at").select_for_update(skip_locked=True)
        found = dict(old.values_list("pk", "account_id")[:BATCH])
        if not found:
            return 0
        EventMessage.objects.filter(pk__in=found).delete()
        accounts = set(found.values())
        left = Dispatch.objects.filter(endpoint=OuterRef("endpoint"), account_id=OuterRef("account_id"))
        Lane.objects.filter(~Exists(left), account_id__in=accounts).delete()
        # A sequence goes on as long as its account, and as long as somebody may still be told of it.
        EventStream.objects.filter(
            ~Exists(Account.objects.filter(pk=OuterRef("account_id"))),
            ~Exists(EventMessage.objects.filter(account_id=OuterRef("account_id"))),
            account_id__in=accounts,
        ).delete()
    return len(found)
