"""What an agreement at AWS means for the account here: its subscription, its history, its owner's mail.

`bring_in_line` is the one place that starts, changes and ends the subscription of an agreement, from what the row says,
and that writes down what happened to it. It looks at states, not at messages, so it is right however the row came to
say that. All of it runs in the caller's
transaction, under `matching.lock`.
"""

from datetime import datetime

from django.db.models import Q

from accounts.customers import history
from accounts.customers.history import Actor, ActorKind
from accounts.mail import notices
from accounts.models import Account
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.lifecycle import News
from marketplace.event_kinds import MarketplaceEvent
from subscriptions import losses
from subscriptions.changes import call_off, change_locked, end_at_once
from subscriptions.models import Channel, Interval, Plan, Subscription
from subscriptions.starting import start

AWS = Actor(ActorKind.MARKETPLACE)
#: Where a buyer manages what was bought.
CONSOLE_URL = "https://console.aws.amazon.com/marketplace"
#: AWS tells sellers no price in any message or answer used here; the customer sees it at AWS, where it is charged.
CENTS = 0
#: Nor how it is billed; until when it runs stands in the agreement, and pages show that instead of a cycle.
INTERVAL = Interval.MONTHLY


class Conflict(Exception):
    """The account has a subscription from elsewhere: staff must sort out the double purchase."""


def bring_in_line(row: AwsAgreement, *, at: datetime) -> bool:
    """Have the account's subscription say what the agreement says. Returns whether anything changed.

    Never before AWS said that the purchase runs. One that was ended here while AWS goes on with the purchase stays
    ended: somebody at the desk decided so, and it holds until the customer buys again. Raises `Conflict`.
    """
    news, row.news[:] = list(row.news), []
    if row.account_id is None:
        return False
    # Account first, as everywhere.
    account = Account.objects.select_for_update(no_key=True).get(pk=row.account_id)
    if account.purging_at:
        return False
    for item in news:
        _tell(row, account, item, at)
    current = _current(row)
    if row.runs:
        return _subscribe(row, account, current, at)
    return current is not None and _end(row, account, current, at)


def is_in_line(row: AwsAgreement, at: datetime) -> bool:
    """Whether `bring_in_line` would change nothing of a purchase that runs. Needs no lock, and proves nothing later."""
    held = row.subscription
    if held is None:
        return False
    return was_ended_here(held, at) or (
        (held.plan_id, held.interval, held.seats, held.cents) == (row.plan_id, INTERVAL, row.seats, CENTS)
    )


def is_free_for_a_purchase(account: Account, at: datetime) -> bool:
    """Whether a new purchase may be linked to this account: nothing paid runs or is to come, and it stays with us."""
    if account.deactivated_at or account.purging_at:
        return False
    paid = Subscription.objects.of(account).filter(Q(ends_at=None) | Q(ends_at__gt=at)).exists()
    waiting = [row for row in AwsAgreement.objects.filter(account=account) if not row.is_over]
    return not paid and not waiting


def was_ended_here(subscription: Subscription, at: datetime) -> bool:
    """Whether the subscription of a purchase that runs is over all the same: then it was ended at the desk.

    A purchase that AWS ended and that was bought again has none from before (`Agreement.begin_again`).
    """
    return subscription.settled_at is not None or (subscription.ends_at is not None and subscription.ends_at <= at)


def _tell(row: AwsAgreement, account: Account, item: News, at: datetime) -> None:
    """Write the line of history. Who has unsubscribed is told that access stays until AWS says that it is over."""
    history.record(account.pk, item.kind, at=at, by=AWS, agreement=row.pk, **item.facts)
    if item.kind is MarketplaceEvent.AWS_LEAVING and row.unsubscribe_pending_at:
        notices.queue(
            "marketplace/aws_leaving",
            to=[account.owner()],
            account=account,
            occasion=f"aws.leaving:{row.pk}:{row.unsubscribe_pending_at:%Y%m%dT%H%M%S}",
            at=at,
            said_at=row.unsubscribe_pending_at,
            console_url=CONSOLE_URL,
        )


def _current(row: AwsAgreement) -> Subscription | None:
    """The subscription that this agreement has now, begun, still to begin, or ended."""
    if row.subscription_id is None:
        return None
    return Subscription.objects.locked().filter(pk=row.subscription_id).first()


def _subscribe(row: AwsAgreement, account: Account, current: Subscription | None, at: datetime) -> bool:
    if current and was_ended_here(current, at):
        return False
    if current:
        return change_locked(
            current, plan_id=row.plan_id, interval=INTERVAL, seats=row.seats, cents=CENTS, at=at, by=AWS
        )
    begins_at = max(row.starts_at or at, at)
    others = Subscription.objects.of(account).filter(Q(ends_at=None) | Q(ends_at__gt=begins_at))
    if other := others.order_by("started_at").first():
        raise Conflict(f"The account has a subscription bought through {other.channel}: a double purchase.")
    row.subscription = start(
        account,
        plan=Plan.objects.get(pk=row.plan_id),
        channel=Channel.AWS_MARKETPLACE,
        interval=INTERVAL,
        seats=row.seats,
        cents=CENTS,
        by=AWS,
        at=at,
        starts_at=begins_at,
    )
    row.save(update_fields=["subscription"])
    return True


def _end(row: AwsAgreement, account: Account, current: Subscription, at: datetime) -> bool:
    if call_off(current, at=at, by=AWS):
        pass
    elif not end_at_once(current, at=at, by=AWS):
        return False
    notices.queue(
        "marketplace/aws_ended",
        to=[account.owner()],
        account=account,
        # The occasion that settling would use: whichever comes first, the owner gets one mail.
        occasion=f"subscription.ended:{current.pk}",
        at=at,
        ended_at=at,
        given_up=losses.given_up(current.plan),
    )
    return True
