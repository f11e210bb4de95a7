"""What can be bought: plans, and what a seat of each costs a cycle.

Where a provider sells, its own prices count, for it takes the money: what the page says is what is charged. Without one
the list of the catalogue is shown, to whoever is then led to where the vendor sells.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.utils.functional import Promise

from accounts.customers import features
from accounts.customers.promises import promise
from subscriptions.plan import Interval, Plan, Price


@dataclass(frozen=True)
class Offer:
    """A plan at a price: `cents` (of the currency's smallest unit) for one seat and cycle.

    `reference` is the provider's id of the price; empty for what only stands on the list.
    """

    plan: Plan
    interval: Interval
    cents: int
    currency: str
    reference: str = ""


@dataclass(frozen=True)
class PlanOnSale:
    """A plan with all its offers, the shortest interval first."""

    plan: Plan
    offers: tuple[Offer, ...]

    @property
    def brings(self) -> "list[str | Promise]":
        """What it grants, in words, in the order in which the product registered it."""
        known = [code for code in features.codes() if code in self.plan.features]
        return [features.named(code).label for code in [*known, *features.unknown(self.plan.features)]]

    @property
    def shown(self) -> str:
        """What a form about it was made from: once a price is another one, nobody is sent to pay it unasked."""
        prices = ((int(offer.interval), offer.cents, offer.currency) for offer in self.offers)
        return promise(self.plan.code, *(part for price in prices for part in price))

    def offer(self, interval: int) -> Offer | None:
        return next((offer for offer in self.offers if offer.interval == interval), None)


def on_the_list(at: datetime) -> list[Offer]:
    """What the catalogue says at `at`."""
    prices = Price.objects.on_the_list(at).filter(plan__in=Plan.objects.sold(at)).select_related("plan")
    return [Offer(price.plan, Interval(price.interval), price.cents, price.currency) for price in prices]


def by_plan(offers: Iterable[Offer]) -> list[PlanOnSale]:
    """Plans with their offers, the cheapest first: each is as dear as its first offer."""
    ordered = sorted(offers, key=lambda offer: (offer.plan.code, offer.interval, offer.currency, offer.cents))
    plans = [PlanOnSale(plan, tuple(same)) for plan, same in groupby(ordered, key=lambda offer: offer.plan)]
    return sorted(plans, key=lambda on_sale: (on_sale.offers[0].cents, on_sale.plan.code))
