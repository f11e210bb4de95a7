"""The vendor's payments are in a system that nobody has connected: staff do there what is wished, and say so here.

A wish waits at the desk, red before the next charge. Nothing here stops a charge by itself, and no text says so.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from subscriptions.billing.provider import RECORDED, Agreement, Payable, RefundState, WishRequest
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.wish import Outcome, Wish
from subscriptions.refunds.refund import Refund
from subscriptions.subscription import Subscription

#: Asked again so seldom: only staff's word changes anything, or another way that is set up meanwhile.
ASKED_AGAIN = timedelta(hours=6)


class Recorded:
    """Nothing is called: what staff say that they did is written down (`subscriptions.billing.by_hand`)."""

    code: ClassVar[str] = RECORDED
    label: ClassVar[str | Promise] = _("your payment system, by hand")
    stops_by_itself = False
    sells = False

    def agree(self, request: WishRequest) -> Agreement:
        return Agreement(Outcome.WAITING, again_at=request.at + ASKED_AGAIN)

    def refundable(self, subscription: Subscription) -> Sequence[Payable]:
        return []

    def refund(self, refund: Refund, *, at: datetime) -> RefundState:
        raise NotImplementedError("staff pay it themselves, and say so (subscriptions.refunds.paying.say_paid)")

    def refund_state(self, refund: Refund, *, at: datetime) -> RefundState:
        return RefundState("paid" if refund.paid_at else "accepted", reference=refund.payment_reference)

    def checkout(self, purchase: Purchase, *, at: datetime) -> str:
        raise NotImplementedError("nobody buys by themselves in a payment system that is not connected")

    def portal(self, account: Account, return_url: str, *, at: datetime) -> str:
        raise NotImplementedError("a payment system that is not connected has no page of its own")

    def holds_anything(self, account_id: uuid.UUID) -> bool:
        return Wish.objects.open().filter(subscription__account_id=account_id).exists()

    def forget(self, account_id: uuid.UUID, *, at: datetime) -> Mapping[str, Any]:
        return {}
