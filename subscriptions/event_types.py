"""What others are told of an account's subscriptions, cancellations and refunds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounts.customers.history import Event
from accounts.events.message_type import MessageType, Payload
from subscriptions.event_kinds import SubscriptionEvent

if TYPE_CHECKING:
    from subscriptions.ending.cancellation import Cancellation
    from subscriptions.subscription import Subscription

SUBSCRIPTION = {
    "subscription": "our number of it",
    "subscription_external_id": "yours, or null",
    "plan": "its code",
    "channel": "`direct`, `datadog_sales`, `aws_marketplace` or `github_marketplace`",
    "seats": "how many",
    "interval": "months in a cycle",
    "started_at": "when it began or begins",
    "ends_at": "when it ends or has ended; null while no end is known",
    "suspended_at": "since when it grants only what the free plan does, unpaid or paused; null if it is not",
}
CANCELLATION = {
    "reference": "as the owner was told",
    "subscription": "our number of the subscription",
    "subscription_external_id": "yours, or null",
    "effective_at": "when it takes effect",
    "reason": "the code that was chosen, or empty",
}
REFUND = {
    "reference": "as the owner was told",
    "subscription": "our number of the subscription",
    "cents": "the amount",
    "currency": "ISO 4217",
}


@dataclass(frozen=True)
class End:
    """A subscription that is over, and the cancellations that were carried out with it."""

    subscription: "Subscription"
    carried_out: "Sequence[Cancellation]" = ()


def _subscription(event: Event) -> Payload:
    return subscription_payload(event.subject)


def subscription_payload(row: Any) -> Payload:
    """A subscription, as others are told. Prices are nobody's but the customer's."""
    return {
        "subscription": row.pk,
        "subscription_external_id": row.external_id,
        "plan": row.plan_id,
        "channel": str(row.channel),
        "seats": row.seats,
        "interval": int(row.interval),
        "started_at": row.started_at,
        "ends_at": row.ends_at,
        "suspended_at": row.suspended_at,
    }


def _cancellation_payload(row: Any, subscription: Any) -> Payload:
    return {
        "reference": row.reference,
        "subscription": subscription.pk,
        "subscription_external_id": subscription.external_id,
        "effective_at": row.effective_at,
        "reason": row.reason,
    }


def _cancellation(event: Event) -> Payload:
    row: Any = event.subject
    return _cancellation_payload(row, row.subscription)


def _of_cancellation(event: Event) -> Payload:
    row: Any = event.subject
    return subscription_payload(row.subscription)


def _ending(event: Event) -> Payload | None:
    """Not of one that is over with its cancellation, because a payment was late."""
    row: Any = event.subject
    return None if row.subscription.settled_at else subscription_payload(row.subscription)


def _ended(event: Event) -> Payload:
    end: Any = event.subject
    return subscription_payload(end.subscription)


def _carried_out(event: Event) -> list[Payload]:
    end: Any = event.subject
    return [_cancellation_payload(row, end.subscription) for row in end.carried_out]


def _changed(event: Event) -> Payload | None:
    """A price alone is told nobody."""
    facts = event.facts
    before = (facts["plan_before"], facts["interval_before"], facts["seats_before"])
    if before == (facts["plan"], facts["interval"], facts["seats"]):
        return None
    return subscription_payload(event.subject)


def _refund(event: Event) -> Payload:
    return {fact: event.facts[fact] for fact in REFUND}


SUBSCRIPTION_TYPES = (
    MessageType(
        "subscription.started",
        "There is a subscription; of one that was bought ahead, `started_at` lies in the future.",
        SUBSCRIPTION,
        {
            SubscriptionEvent.SUBSCRIPTION_STARTED: _subscription,
            SubscriptionEvent.CONTRACT_ENTERED: _subscription,
            SubscriptionEvent.CONTRACT_RENEWED: _subscription,
        },
        changes_entitlements=True,
    ),
    MessageType(
        "cancellation.requested",
        "A subscription was cancelled, here or where it is paid for; said again when it takes effect at another date.",
        CANCELLATION,
        {SubscriptionEvent.CANCELLATION_REQUESTED: _cancellation},
    ),
    MessageType(
        "cancellation.withdrawn",
        "The subscription is kept after all.",
        CANCELLATION,
        {SubscriptionEvent.CANCELLATION_WITHDRAWN: _cancellation},
    ),
    MessageType(
        "subscription.changed",
        "Plan, seats or interval are others; it is kept after all, suspended, or goes on after that.",
        SUBSCRIPTION,
        {
            SubscriptionEvent.SUBSCRIPTION_CHANGED: _changed,
            SubscriptionEvent.CANCELLATION_WITHDRAWN: _of_cancellation,
            SubscriptionEvent.SUBSCRIPTION_SUSPENDED: _subscription,
            SubscriptionEvent.SUBSCRIPTION_RESUMED: _subscription,
        },
        changes_entitlements=True,
    ),
    MessageType(
        "subscription.ending",
        "An end of the subscription became known, or another one.",
        SUBSCRIPTION,
        {
            SubscriptionEvent.CANCELLATION_REQUESTED: _ending,
            SubscriptionEvent.END_TOLD: _subscription,
            SubscriptionEvent.END_MOVED: _subscription,
            SubscriptionEvent.CONTRACT_EXTENDED: _subscription,
        },
        changes_entitlements=True,
    ),
    MessageType(
        "cancellation.carried_out",
        "The subscription is over, as its cancellation wanted.",
        CANCELLATION,
        {
            SubscriptionEvent.SUBSCRIPTION_ENDED: _carried_out,
            SubscriptionEvent.SUBSCRIPTION_RENEWED: _carried_out,
        },
    ),
    MessageType(
        "subscription.ended",
        "The subscription is over. Where another one follows without a gap, that one tells of itself. One that was "
        "called off before it began ends where it begins.",
        SUBSCRIPTION,
        {
            SubscriptionEvent.SUBSCRIPTION_ENDED: _ended,
            SubscriptionEvent.SUBSCRIPTION_RENEWED: _ended,
            SubscriptionEvent.SUBSCRIPTION_CALLED_OFF: _ended,
        },
        changes_entitlements=True,
    ),
    MessageType(
        "refund.approved",
        "Money will be paid back.",
        REFUND,
        {SubscriptionEvent.REFUND_APPROVED: _refund, SubscriptionEvent.CHARGE_UNDONE: _refund},
    ),
    MessageType("refund.paid", "The money was paid back.", REFUND, {SubscriptionEvent.REFUND_PAID: _refund}),
    MessageType("refund.failed", "The money did not arrive.", REFUND, {SubscriptionEvent.REFUND_FAILED: _refund}),
)
