"""What others are told when a marketplace says that a customer has left, or is back."""

from accounts.customers.history import Event
from accounts.events.event_types import opened, place
from accounts.events.message_type import MessageType, Payload, ToldToo
from marketplace.event_kinds import MarketplaceEvent


def _deactivated(event: Event) -> Payload | None:
    """`subject` is until when the customer can come back; None for one who stays, on the free plan."""
    return {"returnable_until": event.subject} if event.subject else None


def _reactivated(event: Event) -> Payload | None:
    """`subject`: whether the account was deactivated."""
    return {} if event.subject else None


MARKETPLACE_TYPES = (
    MessageType(
        "account.deactivated",
        "The marketplace says that the customer has left: nothing is allowed any more, and nothing is erased yet.",
        {"returnable_until": "until when the customer can come back with everything in the account"},
        {MarketplaceEvent.OFFBOARDING_BEGUN: _deactivated},
        changes_entitlements=True,
    ),
    MessageType(
        "account.reactivated",
        "The customer is back, with everything in the account.",
        {},
        {MarketplaceEvent.OFFBOARDING_CALLED_OFF: _reactivated},
        changes_entitlements=True,
    ),
    # Where the purchase was put into an account that was there, nothing.
    ToldToo(
        "account.created", {MarketplaceEvent.AWS_REGISTERED: lambda event: opened(event) if event.subject else None}
    ),
    ToldToo("member.added", {MarketplaceEvent.GITHUB_LINKED: place}),
)
