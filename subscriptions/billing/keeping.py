"""Keeping a subscription in its last minutes: the page waits for the provider's answer before it says "kept".

Otherwise nobody waits: a wish to go on is written down, and carried out within seconds. So near the end those seconds
decide, and a page that said "kept" of what ended there meanwhile would have promised what nobody can keep.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime, timedelta
from enum import Enum

from django.db import connection

from accounts.jobs.due_work import attempt, claim
from subscriptions.billing.agreeing import ask
from subscriptions.billing.provider import provider_of
from subscriptions.billing.wish import Outcome, Want, Wish
from subscriptions.subscription import Subscription

#: So long before its end the provider's answer is waited for.
LAST_MINUTES = timedelta(minutes=10)
#: Seconds that a page waits, and between two looks.
PATIENCE, LOOK = 10.0, 0.1
#: Pages that may wait at once in a process; the others only look whether the sweep had an answer.
MOST_AT_ONCE = 2

_asking = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="keeping")


class Kept(Enum):
    YES = "yes"
    #: It had ended at the provider: it has ended here now, too, and the owner is told by mail.
    ENDED = "ended"
    #: No answer in time. The sweep `wishes` goes on asking.
    UNKNOWN = "unknown"


def confirm(subscription: Subscription, *, at: datetime) -> Kept:
    """Whether what was kept at `at` goes on at its provider. Asks only in the last minutes, for ten seconds at most.

    Call it after the transaction that kept it, and outside of any.
    """
    wish = Wish.objects.open().filter(pk=subscription.pk, want=Want.GO_ON).first()
    near = wish is not None and wish.deadline_at <= at + LAST_MINUTES
    if wish is None or not near or not provider_of(subscription).stops_by_itself:
        return _answer(subscription.pk, otherwise=Kept.YES)
    version = wish.version
    _asking.submit(copy_context().run, _ask, subscription.pk, at)
    stop = time.monotonic() + PATIENCE
    while time.monotonic() < stop:
        newest = Wish.objects.get(pk=subscription.pk)
        if newest.agreed_at or newest.version != version:
            return _answer(subscription.pk, otherwise=Kept.UNKNOWN)
        if newest.last_error:
            # Refused, or no sensible answer: the next attempt is minutes away.
            return Kept.UNKNOWN
        time.sleep(LOOK)
    return Kept.UNKNOWN


def _ask(subscription_id: int, at: datetime) -> None:
    """One attempt, as the sweep makes it; none if the sweep has the wish already."""
    try:
        wish = claim(lambda when: Wish.objects.due(when).filter(pk=subscription_id), at)
        if wish is not None:
            attempt(wish, ask, at)
    finally:
        connection.close()


def _answer(subscription_id: int, *, otherwise: Kept) -> Kept:
    wish = Wish.objects.filter(pk=subscription_id, want=Want.GO_ON, agreed_at__isnull=False).first()
    if wish is None:
        return otherwise
    return Kept.ENDED if wish.outcome == Outcome.ENDED else Kept.YES
