"""Stripe as the port knows it: each of its promises, and where it is kept."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from accounts.models import Account
from subscriptions.billing.provider import Agreement, Payable, RefundState, WishRequest
from subscriptions.billing.purchase import Purchase
from subscriptions.refunds.refund import Refund
from subscriptions.stripe import agreement, forgetting, refunds, too_late
from subscriptions.subscription import Subscription


class Stripe:
    """The provider `stripe` (`subscriptions.billing.provider.Provider`)."""

    code = too_late.CODE
    label = "Stripe"
    stops_by_itself = True
    sells = False

    def agree(self, request: WishRequest) -> Agreement:
        return agreement.agree(request)

    def refundable(self, subscription: Subscription) -> Sequence[Payable]:
        return refunds.refundable(subscription)

    def refund(self, refund: Refund, *, at: datetime) -> RefundState:
        return refunds.pay(refund, at)

    def refund_state(self, refund: Refund, *, at: datetime) -> RefundState:
        return refunds.state(refund, at)

    def checkout(self, purchase: Purchase, *, at: datetime) -> str:
        raise NotImplementedError

    def portal(self, account: Account, return_url: str, *, at: datetime) -> str:
        raise NotImplementedError

    def holds_anything(self, account_id: uuid.UUID) -> bool:
        return bool(forgetting.customers_of(account_id))

    def forget(self, account_id: uuid.UUID, *, at: datetime) -> Mapping[str, Any]:
        """Only written down: the sweep `stripe-forget` does it, step by step."""
        forgetting.plan_to_forget(account_id, at)
        return {"remains": forgetting.remains(account_id)}
