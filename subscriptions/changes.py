"""What a marketplace or support staff can do to a subscription: change it, end it at once, call it off beforehand."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from accounts.customers import history
from accounts.customers.history import Actor, ActorKind
from accounts.mail import notices
from subscriptions.billing.wish import Cause, cause_of, charge_facts, want_end
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.event_types import End
from subscriptions.plan import FREE, Interval
from subscriptions.subscription import MARKETPLACES, Channel, Subscription, locked_in_order

if TYPE_CHECKING:
    from subscriptions.ending.cancellation import Cancellation


#: Says at once which cancellations that were: each is told of.
CARRY_OUT = """
UPDATE subscriptions_cancellation SET effective_at = least(effective_at, %s), carried_out_at = %s
 WHERE subscription_id = %s AND withdrawn_at IS NULL AND carried_out_at IS NULL
RETURNING *
"""


def change(
    subscription: Subscription,
    *,
    plan_id: str,
    interval: Interval,
    seats: int,
    cents: int,
    at: datetime,
    by: Actor,
) -> bool:
    """Change plan, interval, seats or price (`cents`: a seat and cycle) from now on. Returns whether it differed.

    What is over stays as it was: a late word about it changes nothing.
    """
    with transaction.atomic():
        subscription = locked_in_order(subscription)
        return change_locked(subscription, plan_id=plan_id, interval=interval, seats=seats, cents=cents, at=at, by=by)


def change_locked(
    subscription: Subscription,
    *,
    plan_id: str,
    interval: Interval,
    seats: int,
    cents: int,
    at: datetime,
    by: Actor,
) -> bool:
    """As `change`, of a subscription that the caller has read under its lock, in the caller's transaction."""
    if subscription.is_over(at):
        return False
    before = (subscription.plan_id, subscription.interval, subscription.seats, subscription.cents)
    after = (plan_id, interval, seats, cents)
    if before == after:
        return False
    subscription.plan_id, subscription.interval, subscription.seats, subscription.cents = after
    subscription.save(update_fields=["plan", "interval", "seats", "cents"])
    history.record(
        subscription.account_id,
        SubscriptionEvent.SUBSCRIPTION_CHANGED,
        at=at,
        by=by,
        subject=subscription,
        subscription=subscription.pk,
        plan=plan_id,
        plan_before=before[0],
        interval=int(interval),
        interval_before=before[1],
        seats=seats,
        seats_before=before[2],
        cents=cents,
        cents_before=before[3],
    )
    return True


def end_at_once(subscription: Subscription, *, at: datetime, by: Actor, cause: Cause | None = None) -> bool:
    """End a live subscription at `at` and settle it in the same transaction. The caller tells the owner.

    Whoever charges for it is to end it, too (`subscriptions.billing.wish`), because of `cause`, by default who acts.
    Returns whether anything changed: what has ended already stays as it ended.
    """
    with transaction.atomic():
        subscription = locked_in_order(subscription)
        return end_locked(subscription, at=at, by=by, wished_because=cause or cause_of(by))


def end_locked(
    subscription: Subscription,
    *,
    at: datetime,
    by: Actor,
    ends_at: datetime | None = None,
    wished_because: Cause | None = None,
    **why: str,
) -> bool:
    """As `end_at_once`, of a subscription that the caller has read under its lock, in the caller's transaction.

    It was over at `ends_at` already, if that is said. Without `wished_because` nobody is asked to stop a charge: it is
    whoever charges that has told the end. `why`: codes for the history.
    """
    ends_at = ends_at or at
    if subscription.settled_at or not subscription.is_live(ends_at):
        return False
    if wished_because:
        # Before the end is set: the charge that must not come is that of the end of the paid period.
        want_end(subscription, ends_at, at_once=True, cause=wished_because, at=at)
    before = subscription.ends_at
    subscription.ends_at, subscription.settled_at = ends_at, at
    subscription.next_reminder_at = None
    subscription.save(update_fields=["ends_at", "settled_at", "next_reminder_at"])
    carried_out: Sequence[Cancellation] = ()
    if subscription.channel == Channel.DIRECT:
        # Elsewhere nobody can cancel here (`subscriptions.ending.cancellation`).
        carried_out = list(subscription.cancellations.raw(CARRY_OUT, [ends_at, at, subscription.pk]))
    history.record(
        subscription.account_id,
        SubscriptionEvent.SUBSCRIPTION_ENDED,
        at=at,
        by=by,
        subject=End(subscription, carried_out),
        subscription=subscription.pk,
        plan=subscription.plan_id,
        channel=subscription.channel,
        plan_after=FREE,
        ends_at=ends_at.isoformat(),
        ended_before_at=before.isoformat() if before else None,
        **why,
    )
    return True


def end_now(subscription: Subscription, *, by: Actor, at: datetime) -> bool:
    """End a live subscription at `at`, whatever was paid for still, and tell the owner. Returns whether it was live."""
    with transaction.atomic():
        if not end_at_once(subscription, at=at, by=by):
            return False
        subscription = Subscription.objects.select_related("account", "plan").get(pk=subscription.pk)
        notices.queue(
            "subscriptions/subscription_ended",
            to=[subscription.account.owner()],
            account=subscription.account,
            occasion=f"subscription.ended:{subscription.pk}",
            at=at,
            plan=subscription.plan.name,
            channel=subscription.channel,
            ended_at=at,
            **({"by_support": True} if by.kind == ActorKind.STAFF else {}),
            **charge_facts(subscription),
            **_still_billed(subscription, by),
        )
    return True


def _still_billed(subscription: Subscription, by: Actor) -> dict[str, str]:
    """For the mail: which marketplace goes on charging for what was ended here, and not there."""
    channel = Channel(subscription.channel)
    if channel not in MARKETPLACES or by.kind == ActorKind.MARKETPLACE:
        return {}
    return {"still_billed_by": str(channel.label)}


def call_off(subscription: Subscription, *, at: datetime, by: Actor, told_by_billing: bool = False) -> bool:
    """Call off a subscription that begins later than `at`: it will never be live. Returns whether anything changed.

    Whoever would charge for it is asked not to, unless it is they who have told.
    """
    with transaction.atomic():
        subscription = locked_in_order(subscription)
        if subscription.settled_at or subscription.started_at <= at:
            return False
        if not told_by_billing:
            begins_at = subscription.started_at
            want_end(subscription, at, at_once=True, cause=cause_of(by), deadline_at=begins_at, at=at)
        # An empty period: nothing was ever live, and nothing is left to settle or to remind of.
        subscription.started_at = subscription.ends_at = subscription.settled_at = at
        subscription.next_reminder_at = None
        subscription.save(update_fields=["started_at", "ends_at", "settled_at", "next_reminder_at"])
        history.record(
            subscription.account_id,
            SubscriptionEvent.SUBSCRIPTION_CALLED_OFF,
            at=at,
            by=by,
            subject=End(subscription),
            subscription=subscription.pk,
            plan=subscription.plan_id,
            channel=subscription.channel,
        )
    return True
