"""Selling: what a provider does at which owners buy by themselves.

Beside what every provider does (`subscriptions.billing.provider`) it says what it sells, takes an owner to the page on
which they pay, and tells what became of it. An owner waits for these calls, so each is short, and none is made inside a
transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol, cast

from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.models import Account
from subscriptions.billing import provider as providers
from subscriptions.billing.offers import Offer
from subscriptions.billing.provider import Provider
from subscriptions.billing.purchase import Purchase
from subscriptions.subscription import Subscription


class OutOfReach(Refused):
    """The provider does not answer, or not in time. What it was asked to do is not done, as far as is known."""

    text = _("Our payment provider does not answer just now. Nothing was charged. Please try again in a few minutes.")


class NotOnSale(Refused):
    """The provider refuses what was chosen: its price is gone, or it can't be sold to this customer."""

    text = _("This can't be bought just now. Nothing was charged. Please choose again, or write to support.")


class Progress(Enum):
    """How far an open purchase has come at its provider."""

    TO_PAY = "to_pay"
    #: Paid, as far as the buyer can do anything, and not yet confirmed: a bank debit takes days.
    PAID = "paid"
    #: Completed, expired or failed: its row says which.
    CLOSED = "closed"


class Seller(Provider, Protocol):
    """A provider at which owners buy. Each call may raise `OutOfReach`."""

    @property
    def pages(self) -> Sequence[str]:
        """The origins of its pages: a browser is sent nowhere else."""

    def offers(self, at: datetime) -> Sequence[Offer]:
        """What it sells: one offer at most of a plan, interval and currency. Read from our own rows."""

    def checkout(self, purchase: Purchase, *, at: datetime) -> str:
        """The address on which this purchase is paid; the same one again while it is open. Raises `NotOnSale`."""

    def confirm(self, purchase: Purchase, *, at: datetime) -> Progress:
        """Bring an open purchase, and what was bought by it, in line with what the provider says now."""

    def give_up(self, purchase: Purchase, *, at: datetime) -> Progress:
        """See to it that this purchase can't be paid any more, then as `confirm`: it may have been paid just before."""

    def portal(self, account: Account, return_url: str, *, at: datetime) -> str:
        """The address of its page with the account's card and invoices; valid for minutes, for whoever has it."""


def seller() -> Seller | None:
    """The provider at which owners buy; None if nobody sells here."""
    found = providers.seller()
    return cast(Seller, found) if found else None


def seller_called(code: str) -> Seller:
    """The provider of this code. Raises `OutOfReach` if it is installed no more."""
    if code not in providers.REGISTRY:
        raise OutOfReach
    return cast(Seller, providers.REGISTRY.named(code))


def paid_at(account: Account) -> Seller | None:
    """Where the card and the invoices of `account` are: with who holds its newest subscription of all that were held.

    None if no provider ever held one.
    """
    held = Subscription.objects.of(account).exclude(held_by="").order_by("-started_at", "-pk").first()
    return paying_at(held)


def paying_at(*subscriptions: Subscription | None) -> Seller | None:
    """The same, of subscriptions that are at hand, newest first."""
    code = next((found.held_by for found in subscriptions if found and found.held_by), "")
    provider = providers.REGISTRY.named(code) if code in providers.REGISTRY else None
    return cast(Seller, provider) if provider and provider.sells else None
