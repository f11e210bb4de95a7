"""Where an account stands at an instant: its plan, its subscription, its cancellation.

This is the answer to the question that `accounts.customers.entitlements` asks, and what Subscription Settings shows.
Read from dates, so it is right whether or not any job has run.
"""

from dataclasses import dataclass
from datetime import datetime

from accounts.customers.entitlements import Entitlements
from accounts.models import Account
from subscriptions.ending.cancellation import Cancellation
from subscriptions.plan import FREE, Plan
from subscriptions.subscription import Channel, Subscription


@dataclass(frozen=True)
class Standing:
    """`subscription` is the live one, or None on the free plan; then `last` is the one that ended most recently."""

    subscription: Subscription | None
    last: Subscription | None
    upcoming: Subscription | None
    cancellation: Cancellation | None

    @property
    def can_be_cancelled(self) -> bool:
        """Whether its owner could cancel it here: bought directly, and still to renew."""
        live = self.subscription
        return live is not None and live.channel == Channel.DIRECT and live.ends_at is None


def standing_of(account: Account, at: datetime) -> Standing:
    """The standing of `account` at `at`. Two statements, however long its history."""
    # What a page says of the charge comes with it.
    live, last, upcoming = _newest(account, at, "wish", "holding")
    return Standing(live, last, upcoming, live.cancellations.open().first() if live else None)


def entitlements(account: Account, at: datetime) -> Entitlements:
    """What `account` may do at `at`: what its live subscription's plan grants, else what the free plan does.

    A suspended subscription grants what the free plan does.
    """
    live, last, upcoming = _newest(account, at)
    if live and not live.is_suspended(at):
        again_at = live.suspended_until if live.suspended_until and live.suspended_until <= at else None
        ahead = live.suspended_at if live.suspended_at and live.suspended_at > at else None
        return Entitlements(
            plan=live.plan_id,
            plan_name=live.plan.name,
            features=frozenset(live.plan.features),
            since=again_at or live.started_at,
            until=min(filter(None, [live.ends_at, ahead]), default=None),
        )
    free = Plan.objects.free()
    if live:
        # Suspended: nothing is over and nothing is lost; until it is paid, or goes on, it has what Free has.
        return Entitlements(
            plan=FREE,
            plan_name=free.name,
            features=frozenset(free.features),
            since=live.suspended_at or at,
            until=live.suspended_until,
        )
    return Entitlements(
        plan=FREE,
        plan_name=free.name,
        features=frozenset(free.features),
        since=last.ends_at if last and last.ends_at else account.created_at,
        until=upcoming.started_at if upcoming else None,
    )


def end_pending(account: Account, at: datetime) -> dict[str, object]:
    """That its subscription has been cancelled and is about to end: for the mail to a new owner."""
    found = standing_of(account, at)
    if found.subscription is None or found.cancellation is None:
        return {}
    return {"plan": found.subscription.plan.name, "ends_at": found.subscription.ends_at}


def _newest(
    account: Account, at: datetime, *more: str
) -> tuple[Subscription | None, Subscription | None, Subscription | None]:
    """The live subscription, the one that ended last, and the next one that was bought ahead."""
    live = last = upcoming = None
    newest = Subscription.objects.of(account).real().select_related("plan", *more).order_by("-started_at", "-pk")
    # One live and perhaps one that begins later come first; a few rows always hold what is asked for.
    for subscription in newest[:10]:
        if subscription.is_live(at):
            live = live or subscription
        elif subscription.started_at > at:
            upcoming = subscription
        elif last is None:
            last = subscription
    return live, last, upcoming
