"""A payment provider for tests of the port: it holds what it is told, and answers as it is told."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from accounts.models import Account
from subscriptions.billing.provider import REGISTRY, Agreement, Payable, RefundState, WishRequest
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.wish import Outcome
from subscriptions.models import Refund, Subscription


class Bank:
    """Agrees to everything, unless `answer` says something else; `asked` has all that it was asked, in order."""

    code = "bank"
    label = "The bank"
    stops_by_itself = True
    sells = False

    def __init__(self) -> None:
        self.asked: list[WishRequest] = []
        self.answer: Callable[[WishRequest], Agreement] = lambda request: Agreement(Outcome.AGREED)

    def agree(self, request: WishRequest) -> Agreement:
        self.asked.append(request)
        return self.answer(request)

    def refundable(self, subscription: Subscription) -> Sequence[Payable]:
        return []

    def refund(self, refund: Refund, *, at: datetime) -> RefundState:
        return RefundState("paid")

    def refund_state(self, refund: Refund, *, at: datetime) -> RefundState:
        return RefundState("paid")

    def checkout(self, purchase: Purchase, *, at: datetime) -> str:
        raise NotImplementedError

    def portal(self, account: Account, return_url: str, *, at: datetime) -> str:
        raise NotImplementedError

    def holds_anything(self, account_id: uuid.UUID) -> bool:
        return False

    def forget(self, account_id: uuid.UUID, *, at: datetime) -> Mapping[str, Any]:
        return {}


@contextmanager
def a_bank() -> Iterator[Bank]:
    bank = Bank()
    with REGISTRY.replaced(bank):
        yield bank
