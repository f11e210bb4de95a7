"""What pages show of a subscription that is about to end, and of where another one is bought."""

from datetime import datetime

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.core import clock
from accounts.customers.account import Membership
from subscriptions.billing.selling import seller
from subscriptions.subscription import Channel, Subscription


def ending_banner(request: HttpRequest) -> dict[str, object]:
    """`ending`: the live subscription that its owner cancelled, or None. Looked up only by pages that show it."""
    membership: Membership | None = getattr(request, "membership", None)
    if membership is None:
        return {}
    return {"ending": SimpleLazyObject(lambda: _ending(membership, clock.of(request)))}


def _ending(membership: Membership, at: datetime) -> Subscription | None:
    return (
        Subscription.objects.of(membership.account)
        .live(at)
        .filter(channel=Channel.DIRECT, ends_at__isnull=False)
        .select_related("plan")
        .first()
    )


def shop(request: HttpRequest) -> dict[str, object]:
    """`sold_here`: whether owners buy on a page of ours (`subscriptions.billing.selling`)."""
    return {"sold_here": seller() is not None}
