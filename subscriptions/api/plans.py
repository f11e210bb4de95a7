"""The door of plans: what is sold, and for how much."""

from typing import Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router

from accounts.api.answers import MAY_CARRY_IF_NONE_MATCH, answer
from accounts.api.caller import Token
from accounts.api.fields import Told
from accounts.api.tokens import Scope
from subscriptions.plan import Interval, Plan

router = Router(tags=["plans"])

IntervalName = Literal["monthly", "annual"]
INTERVALS: dict[IntervalName, Interval] = {"monthly": Interval.MONTHLY, "annual": Interval.ANNUAL}
NAMES: dict[int, IntervalName] = {interval.value: name for name, interval in INTERVALS.items()}


class PriceTold(Told):
    interval: IntervalName
    #: For one seat and one cycle.
    cents: int
    currency: str


class PlanTold(Told):
    code: str
    name: str
    features: list[str]
    prices: list[PriceTold]


class PlanList(Told):
    items: list[PlanTold]


@router.get("plans/", auth=Token(Scope.ACCOUNTS_READ), response=PlanList, openapi_extra=MAY_CARRY_IF_NONE_MATCH)
def list_plans(request: HttpRequest) -> HttpResponse:
    """Every plan, with its features and list prices. The free one is that of accounts without a subscription."""
    return answer(
        request, PlanList(items=[_told(plan) for plan in Plan.objects.prefetch_related("prices").order_by("code")])
    )


def _told(plan: Plan) -> PlanTold:
    prices = sorted(plan.prices.all(), key=lambda price: (price.interval, price.currency))
    return PlanTold(
        code=plan.code,
        name=plan.name,
        features=sorted(plan.features),
        prices=[
            PriceTold(interval=NAMES[price.interval], cents=price.cents, currency=price.currency) for price in prices
        ],
    )
