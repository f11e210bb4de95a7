"""What had ended at a provider before we knew of it: written down for history, and for nothing else.

It grants nothing, nobody is told, and nothing is settled: it had its consequences where it was sold.
"""

from datetime import datetime

from django.db import transaction

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.models import Account
from subscriptions.billing.holding import Held, Holding
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.event_types import End
from subscriptions.subscription import Channel, Subscription

#: Said of every line of history that an import writes.
CAUSE = "import"


def write_down(account: Account, held: Held, *, at: datetime) -> Holding | None:
    """A subscription that has ended there, with its two lines of history at the instants at which they happened.

    None for one that was over before it began, and while the account is erased. Raises `IntegrityError` where another
    one is known to have run at the same time.
    """
    ended_at = held.ended_at
    if ended_at is None or ended_at <= held.started_at:
        return None
    trial_ends_at = held.trial_ends_at if held.trial_ends_at and held.trial_ends_at > held.started_at else None
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if account.purging_at:
            return None
        subscription = Subscription.objects.create(
            account=account,
            plan_id=held.plan_code,
            channel=Channel.DIRECT,
            interval=held.interval,
            seats=held.seats,
            cents=held.cents,
            currency=held.currency,
            held_by=held.provider,
            started_at=held.started_at,
            trial_ends_at=trial_ends_at,
            anchor_at=trial_ends_at or held.started_at,
            period_started_at=held.period_started_at,
            period_ends_at=held.period_ends_at,
            first_paid_at=held.first_paid_at,
            ends_at=ended_at,
            settled_at=max(at, ended_at),
        )
        facts = {"subscription": subscription.pk, "plan": held.plan_code, "channel": Channel.DIRECT, "cause": CAUSE}
        began, over = SubscriptionEvent.SUBSCRIPTION_STARTED, SubscriptionEvent.SUBSCRIPTION_ENDED
        by = Actor.system()
        with history.written_together():
            seats, why = held.seats, held.asked_by or "unknown"
            history.record(account.pk, began, at=held.started_at, by=by, subject=subscription, seats=seats, **facts)
            history.record(account.pk, over, at=ended_at, by=by, subject=End(subscription), reason=why, **facts)
        return Holding.objects.create(
            subscription=subscription,
            provider=held.provider,
            reference=held.reference,
            customer_reference=held.customer_reference,
            status=held.status,
            status_word=held.status_word,
            asked_to_end_at=held.asked_to_end_at,
            read_at=held.read_at,
        )
