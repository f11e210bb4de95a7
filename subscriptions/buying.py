"""Starting a subscription.

Money is taken elsewhere (a payment system, a marketplace, a sales contract); this writes down the result.
"""

from datetime import datetime

from django.db import transaction

from accounts import history
from accounts.history import Actor
from accounts.models import Account
from subscriptions.plan import Interval, Plan, Price
from subscriptions.reminders import next_reminder
from subscriptions.subscription import Channel, Subscription


def start(
    account: Account,
    *,
    plan: Plan,
    channel: Channel,
    interval: Interval,
    by: Actor,
    at: datetime,
    seats: int = 1,
    cents: int | None = None,
    trial_ends_at: datetime | None = None,
    ends_at: datetime | None = None,
    starts_at: datetime | None = None,
) -> Subscription:
    """Start a subscription of `account` at `at`. `cents` is the price of one seat and cycle; by default the list price.

    `starts_at`: when it begins, if that is later than `at`, when it is written down; the date decides. Raises
    `IntegrityError` if one is live in the same period: the database allows one at a time.
    """
    begins_at = max(starts_at or at, at)
    if cents is None:
        cents = Price.objects.get(plan=plan, interval=interval).cents
    with transaction.atomic():
        subscription = Subscription.objects.create(
            account=account,
            plan=plan,
            channel=channel,
            interval=interval,
            seats=seats,
            cents=cents,
            started_at=begins_at,
            trial_ends_at=trial_ends_at,
            anchor_at=trial_ends_at or begins_at,
            ends_at=ends_at,
            next_reminder_at=next_reminder(channel, ends_at, at),
        )
        history.record(
            account.pk,
            "subscription.started",
            at=at,
            by=by,
            subscription=subscription.pk,
            plan=plan.pk,
            channel=channel,
            seats=seats,
            **({"starts_at": begins_at.isoformat()} if begins_at > at else {}),
        )
    return subscription
