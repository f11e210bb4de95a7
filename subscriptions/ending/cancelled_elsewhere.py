"""A cancellation that was made, undone or moved where the subscription is paid for: on the provider's page, by staff in
its dashboard, by other software. It counts as if it had been made here: a row, history, and the owner's mail.

Called with account and subscription locked, in the caller's transaction (`subscriptions.billing.taking_over`).
"""

from datetime import datetime

from accounts.customers.history import Actor
from subscriptions.ending import reminders
from subscriptions.ending.cancellation import Cancellation, tell
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.subscription import Subscription


def cancelled(
    subscription: Subscription,
    *,
    effective_at: datetime,
    requested_at: datetime,
    reason: str,
    comment: str,
    by: Actor,
    at: datetime,
    mailed: bool = True,
) -> Cancellation:
    """It is to end at `effective_at`: somebody asked for that there at `requested_at`, or so it says."""
    cancellation = Cancellation.objects.create(
        subscription=subscription,
        requested_at=min(requested_at, effective_at),
        requested_by=None,
        reason=reason,
        comment=comment,
        effective_at=effective_at,
    )
    before = subscription.ends_at
    reminders.set_end(subscription, effective_at, at=at)
    tell(
        cancellation,
        SubscriptionEvent.CANCELLATION_REQUESTED,
        "cancellation_confirmed",
        ended_before_at=before,
        by=by,
        at=at,
        mailed=mailed,
        elsewhere=True,
    )
    return cancellation


def kept(
    subscription: Subscription, cancellation: Cancellation, *, by: Actor, at: datetime, mailed: bool = True
) -> None:
    """It goes on after all: somebody undid the cancellation there."""
    cancellation.subscription = subscription
    cancellation.withdrawn_at = max(at, cancellation.requested_at)
    cancellation.save(update_fields=["withdrawn_at"])
    before = subscription.ends_at
    reminders.set_end(subscription, None, at=at)
    tell(
        cancellation,
        SubscriptionEvent.CANCELLATION_WITHDRAWN,
        "cancellation_withdrawn",
        ended_before_at=before,
        by=by,
        at=at,
        mailed=mailed,
        elsewhere=True,
    )


def moved(
    subscription: Subscription, cancellation: Cancellation, effective_at: datetime, *, by: Actor, at: datetime
) -> None:
    """It ends at another instant than was said, and the owner is told the new one, once."""
    cancellation.subscription = subscription
    before = subscription.ends_at
    cancellation.effective_at = max(effective_at, cancellation.requested_at)
    cancellation.save(update_fields=["effective_at"])
    reminders.set_end(subscription, cancellation.effective_at, at=at)
    tell(
        cancellation,
        SubscriptionEvent.CANCELLATION_REQUESTED,
        "cancellation_confirmed",
        ended_before_at=before,
        by=by,
        at=at,
        elsewhere=True,
        again=f"{cancellation.effective_at:%Y%m%dT%H%M%S}",
    )
