"""Stripe as the port knows it: each of its promises, and where it is kept."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from accounts.models import Account
from subscriptions.billing.offers import Offer
from subscriptions.billing.provider import Agreement, Payable, RefundState, WishRequest
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.selling import Progress
from subscriptions.refunds.refund import Refund
from subscriptions.stripe import agreement, checkout, forgetting, refunds, too_late
from subscriptions.stripe.client import is_configured
from subscriptions.subscription import Subscription

#: The origins of Checkout and of the customer portal.
HOSTED = ("https://checkout.stripe.com", "https://billing.stripe.com")


class Stripe:
    """The provider `stripe` (`subscriptions.billing.provider.Provider`)."""

    code = too_late.CODE
    label = "Stripe"
    stops_by_itself = True

    @property
    def sells(self) -> bool:
        return is_configured()

    @property
    def pages(self) -> Sequence[str]:
        return settings.STRIPE_PAGES or _pages_of(settings.STRIPE_API_URL)

    def agree(self, request: WishRequest) -> Agreement:
        return agreement.agree(request)

    def refundable(self, subscription: Subscription) -> Sequence[Payable]:
        return refunds.refundable(subscription)

    def refund(self, refund: Refund, *, at: datetime) -> RefundState:
        return refunds.pay(refund, at)

    def refund_state(self, refund: Refund, *, at: datetime) -> RefundState:
        return refunds.state(refund, at)

    def offers(self, at: datetime) -> Sequence[Offer]:
        return checkout.offers(at)

    def checkout(self, purchase: Purchase, *, at: datetime) -> str:
        return checkout.checkout(purchase, at=at)

    def confirm(self, purchase: Purchase, *, at: datetime) -> Progress:
        return checkout.confirm(purchase, at=at)

    def give_up(self, purchase: Purchase, *, at: datetime) -> Progress:
        return checkout.give_up(purchase, at=at)

    def portal(self, account: Account, return_url: str, *, at: datetime) -> str:
        return checkout.portal(account, return_url, at=at)

    def holds_anything(self, account_id: uuid.UUID) -> bool:
        return bool(forgetting.customers_of(account_id))

    def forget(self, account_id: uuid.UUID, *, at: datetime) -> Mapping[str, Any]:
        """Only written down: the sweep `stripe-forget` does it, step by step."""
        forgetting.plan_to_forget(account_id, at)
        return {"remains": forgetting.remains(account_id)}


def _pages_of(api_url: str) -> Sequence[str]:
    """Where Stripe's own pages are; a Stripe to test against has them at its own address."""
    return HOSTED if urlsplit(api_url).hostname == "api.stripe.com" else (api_url,)
