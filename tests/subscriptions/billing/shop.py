"""A provider that sells, written to the port alone: what the pages do is tried with it, whoever sells in production.

It keeps its books in memory. Its buyers are played by tests: `pay`, `leave`, `answer`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.customers.history import Actor
from accounts.models import Account
from subscriptions.billing import buying
from subscriptions.billing.offers import Offer, on_the_list
from subscriptions.billing.provider import Agreement, Payable, RefundState, WishRequest
from subscriptions.billing.purchase import Purchase, PurchaseState
from subscriptions.billing.selling import OutOfReach, Progress
from subscriptions.billing.wish import Outcome
from subscriptions.models import Channel, Interval, Refund, Subscription
from subscriptions.starting import start


@dataclass
class Shop:
    """Sells what is on our list."""

    code: str = "shop"
    label: str = "The shop"
    stops_by_itself: bool = True
    sells: bool = True
    pages: Sequence[str] = ("https://pay.shop.example",)
    #: By the reference of their purchase.
    sessions: dict[str, str] = field(default_factory=dict)
    paid: set[str] = field(default_factory=set)
    debited: set[str] = field(default_factory=set)
    away: bool = False
    leads_to: str = "https://pay.shop.example"
    calls: list[str] = field(default_factory=list)

    def offers(self, at: datetime) -> Sequence[Offer]:
        return [
            Offer(o.plan, o.interval, o.cents, o.currency, f"price_{o.plan.pk}_{o.interval}") for o in on_the_list(at)
        ]

    def checkout(self, purchase: Purchase, *, at: datetime) -> str:
        self._called("checkout", purchase)
        self.sessions.setdefault(purchase.reference, "open")
        Purchase.objects.filter(pk=purchase.pk).update(session_reference=f"session-{purchase.reference}")
        return f"{self.leads_to}/{purchase.reference}"

    def confirm(self, purchase: Purchase, *, at: datetime) -> Progress:
        self._called("confirm", purchase)
        if purchase.reference in self.debited:
            return Progress.PAID
        if purchase.reference in self.paid:
            self._begin(purchase, at)
            return Progress.CLOSED
        if self.sessions.get(purchase.reference) == "open" and at < purchase.expires_at:
            return Progress.TO_PAY
        buying.close(purchase, PurchaseState.EXPIRED, at=at)
        return Progress.CLOSED

    def give_up(self, purchase: Purchase, *, at: datetime) -> Progress:
        self._called("give_up", purchase)
        if purchase.reference not in self.paid | self.debited:
            self.sessions[purchase.reference] = "expired"
        return self.confirm(purchase, at=at)

    def portal(self, account: Account, return_url: str, *, at: datetime) -> str:
        if self.away:
            raise OutOfReach
        self.calls.append(f"portal {return_url}")
        return f"{self.leads_to}/portal/{account.pk}"

    def _begin(self, purchase: Purchase, at: datetime) -> None:
        begun = start(
            purchase.account,
            plan=purchase.plan,
            channel=Channel.DIRECT,
            interval=Interval(purchase.interval),
            seats=purchase.seats,
            cents=purchase.cents,
            by=Actor.system(),
            at=at,
        )
        Subscription.objects.filter(pk=begun.pk).update(
            held_by=self.code, period_started_at=at, period_ends_at=begun.cycle(at).end
        )
        buying.close(purchase, PurchaseState.COMPLETED, at=at, subscription_id=begun.pk)

    def _called(self, what: str, purchase: Purchase) -> None:
        if self.away:
            raise OutOfReach
        self.calls.append(f"{what} {purchase.reference}")

    # What no page of buying needs.

    def agree(self, request: WishRequest) -> Agreement:
        return Agreement(Outcome.AGREED)

    def refundable(self, subscription: Subscription) -> Sequence[Payable]:
        return ()

    def refund(self, refund: Refund, *, at: datetime) -> RefundState:
        raise NotImplementedError

    def refund_state(self, refund: Refund, *, at: datetime) -> RefundState:
        raise NotImplementedError

    def holds_anything(self, account_id: UUID) -> bool:
        return False

    def forget(self, account_id: UUID, *, at: datetime) -> Mapping[str, Any]:
        return {}
