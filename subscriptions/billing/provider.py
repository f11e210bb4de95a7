"""The port: what the core asks of whoever holds the money of a direct subscription.

Stripe is one provider; staff who do it by hand another (`subscriptions.billing.recorded`), the vendor's own billing a
third (`subscriptions.billing.vendor`). The core knows none of them: it asks `provider_of` the subscription. Every call
may go over the network, so none is made inside a request or a transaction, but for `checkout` and `portal`, which an
owner waits for.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings
from django.utils.functional import Promise

from accounts.core.registry import Registry
from accounts.models import Account
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.wish import Outcome
from subscriptions.refunds.refund import Refund
from subscriptions.subscription import Subscription

#: The codes of the two ways of the vendor's own: by hand, and by a request to their billing.
RECORDED, VENDOR = "recorded", "vendor"


@dataclass(frozen=True)
class WishRequest:
    """A wish as it was when its turn came. What is noted of it later counts only while `version` is the newest."""

    subscription_id: int
    version: int
    #: One of `Want`.
    want: str
    wanted_end_at: datetime | None
    at_once: bool
    #: One of `Cause`.
    cause: str
    feedback: str
    deadline_at: datetime
    wished_at: datetime
    #: As the provider calls the subscription and its customer; empty where it holds nothing.
    reference: str
    customer_reference: str
    #: By what we call it: the cancellation's reference if there is one, and what the vendor calls the two.
    cancellation_reference: str
    order_reference: str
    external_id: str
    account_id: uuid.UUID
    account_external_id: str
    at: datetime


@dataclass(frozen=True)
class PaidBack:
    """A charge for a time after a promised end, which the provider has been told to pay back. Cents of `currency`."""

    payment_reference: str
    #: What the provider calls the refund.
    reference: str
    cents: int
    currency: str


@dataclass(frozen=True)
class Agreement:
    """What a provider answered. `ends_at`: when it ends there, if that is another instant than was wished.

    `facts`: ids, instants and codes for staff, no personal data. With `WAITING`, `again_at` says when to ask again.
    """

    outcome: Outcome
    ends_at: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    again_at: datetime | None = None
    #: All of them, in every answer: the same again is the same row.
    paid_back: Sequence[PaidBack] = ()


@dataclass(frozen=True)
class Payable:
    """A payment that can be paid back: under which number, and how much of it is left. Cents of `currency`."""

    reference: str
    invoice_number: str
    paid_at: datetime | None
    cents: int
    left_cents: int
    currency: str
    #: Why nothing of it can be paid back now, as a code: `disputed`, `refunded`, `elsewhere`; empty for none.
    refused_because: str = ""


@dataclass(frozen=True)
class RefundState:
    """How far a refund has come: `accepted`, `paid`, or `failed`, which it may still after it was paid."""

    state: str
    reference: str = ""
    failure: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Provider(Protocol):
    """Who holds the money. Raises what its own library does: the row that asked notes it, and asks again."""

    #: By which subscriptions say who holds them.
    @property
    def code(self) -> str: ...

    #: Its name, in words.
    @property
    def label(self) -> str | Promise: ...

    @property
    def stops_by_itself(self) -> bool:
        """Whether it ends or goes on by itself when asked; else staff do it by hand, and say so."""

    @property
    def sells(self) -> bool:
        """Whether an owner can buy there by themselves (`subscriptions.billing.selling`)."""

    def agree(self, request: WishRequest) -> Agreement:
        """Make it so, and say what is so. Safe to repeat; never earlier than wished, never a cycle later."""

    def refundable(self, subscription: Subscription) -> Sequence[Payable]:
        """What was paid for it, newest first."""

    def refund(self, refund: Refund, *, at: datetime) -> RefundState:
        """Pay it back, once, however often it is asked."""

    def refund_state(self, refund: Refund, *, at: datetime) -> RefundState:
        """How far it has come there."""

    def checkout(self, purchase: Purchase, *, at: datetime) -> str:
        """The address of the page on which it is paid."""

    def portal(self, account: Account, return_url: str, *, at: datetime) -> str:
        """The address of the page with the account's card and invoices."""

    def holds_anything(self, account_id: uuid.UUID) -> bool:
        """Whether anything of the account may still run there, as far as it has been read."""

    def forget(self, account_id: uuid.UUID, *, at: datetime) -> Mapping[str, Any]:
        """Erase there what may be erased. Returns what remains, why, and until when."""


#: Whoever can hold the money of a subscription.
REGISTRY: Registry[Provider] = Registry(key=lambda provider: provider.code)


def provider_of(subscription: Subscription) -> Provider:
    """Who stops the charges of a direct subscription. Raises `KeyError` for a provider that is not installed."""
    return REGISTRY.named(subscription.held_by or own_way())


def who_charges(subscription: Subscription) -> str | Promise:
    """The provider's name for people, or its code where it is not installed any more."""
    code = subscription.held_by or own_way()
    return REGISTRY.named(code).label if code in REGISTRY else code


def own_way() -> str:
    """The code of how the vendor's own billing is asked: by a request if it takes one, else by staff."""
    return VENDOR if getattr(settings, "BILLING_ENDPOINT", "") else RECORDED


def seller() -> Provider | None:
    """The provider at which an owner can buy; None if there is none."""
    return next((provider for provider in REGISTRY.all() if provider.sells), None)
