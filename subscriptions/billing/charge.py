"""What an owner is told of the charge: no more than whoever charges has said."""

from dataclasses import dataclass
from datetime import datetime

from subscriptions.billing.holding import HeldStatus, Holding
from subscriptions.billing.wish import Want, Wish, is_charged
from subscriptions.subscription import Subscription


@dataclass(frozen=True)
class Charge:
    """How the charge of a subscription stands, as far as it is known."""

    #: Since when it is suspended; None if it is not.
    suspended_at: datetime | None = None
    #: A payment failed, and is tried again.
    is_late: bool = False
    #: When whoever charges said that nothing more is charged; None if nobody has.
    stopped_at: datetime | None = None
    is_being_stopped: bool = False
    is_being_resumed: bool = False


def charge_of(subscription: Subscription | None, at: datetime) -> Charge:
    """How it stands at `at`: of a direct subscription that costs something, else nothing is to be said."""
    if subscription is None or not is_charged(subscription):
        return Charge()
    wish: Wish | None = getattr(subscription, "wish", None)
    holding: Holding | None = getattr(subscription, "holding", None)
    ends = wish is not None and wish.want == Want.END
    is_open = wish is not None and wish.agreed_at is None
    return Charge(
        suspended_at=subscription.suspended_at if subscription.is_suspended(at) else None,
        is_late=holding is not None and holding.status == HeldStatus.LATE,
        stopped_at=wish.agreed_at if wish and ends else None,
        is_being_stopped=ends and is_open,
        is_being_resumed=is_open and not ends,
    )
