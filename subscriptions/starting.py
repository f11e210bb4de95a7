"""Starting a subscription.

Money is taken elsewhere (a payment system, a marketplace, a sales contract); this writes down the result.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.models import Account
from subscriptions.channels import returning
from subscriptions.ending.reminders import next_reminder
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.plan import CURRENCY, Interval, Plan, Price
from subscriptions.subscription import MARKETPLACES, Channel, Subscription


class NoListPrice(Refused):
    text = _("There is no list price of %(plan)s in %(currency)s. Say what a seat costs.")


class NotSold(Refused):
    text = _("The plan %(plan)s is not sold any more. Choose another one.")


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
    currency: str = CURRENCY,
    trial_ends_at: datetime | None = None,
    ends_at: datetime | None = None,
    starts_at: datetime | None = None,
    order_reference: str = "",
    external_id: str | None = None,
    held_by: str = "",
    event: SubscriptionEvent = SubscriptionEvent.SUBSCRIPTION_STARTED,
) -> Subscription:
    """Start a subscription of `account` at `at`. `cents` is the price of one seat and cycle; by default the list price.

    Both are in `currency`: a price in another one is another price.

    What was bought ahead, or is written down late, begins at `starts_at` instead. `event` is its line of history.
    Whoever was about to be left, because a marketplace said so, is back. Raises `NoListPrice`; `NotSold` for a plan
    that is retired (who sells it all the same has sold it: a marketplace, or the payment provider that has `held_by`);
    `IntegrityError` if one is live in the same
    period: the database allows one at a time; and `scheduling.TooLate` once the account is being erased.
    """
    if cents is None:
        # What is written down late cost what the list said then; what begins later is bought today.
        bought_at = min(at, starts_at or at)
        listed = Price.objects.on_the_list(bought_at).filter(plan=plan, interval=interval, currency=currency).first()
        if listed is None:
            raise NoListPrice(plan=plan.name, currency=currency)
        cents = listed.cents
    began = starts_at or at
    if channel not in MARKETPLACES and not held_by and not (plan.retired_at is None or began < plan.retired_at):
        raise NotSold(plan=plan.name)
    with transaction.atomic():
        returning.come_back(account, at=at, by=by)
        subscription = Subscription.objects.create(
            account=account,
            plan=plan,
            channel=channel,
            interval=interval,
            seats=seats,
            cents=cents,
            currency=currency,
            order_reference=order_reference,
            external_id=external_id,
            held_by=held_by,
            started_at=began,
            trial_ends_at=trial_ends_at,
            anchor_at=trial_ends_at or began,
            ends_at=ends_at,
            next_reminder_at=next_reminder(channel, ends_at, at),
        )
        history.record(
            account.pk,
            event,
            at=at,
            by=by,
            subject=subscription,
            subscription=subscription.pk,
            plan=plan.pk,
            channel=channel,
            seats=seats,
            **({"starts_at": began.isoformat()} if began != at else {}),
        )
    return subscription
