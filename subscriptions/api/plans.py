"""The door of plans: what is sold, and for how much."""

from typing import Literal

from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from ninja import Router

from accounts.api.answers import MAY_CARRY_IF_NONE_MATCH, answer
from accounts.api.caller import Token, caller_of
from accounts.api.fields import Told
from accounts.api.tokens import Scope
from subscriptions.plan import FREE, Interval, Plan, Price

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
    """What is sold, with features and today's list prices; and the free plan, for accounts without a subscription."""
    at = caller_of(request).at
    plans = Plan.objects.filter(Q(code=FREE) | Q(pk__in=Plan.objects.sold(at))).order_by("code")
    prices = Prefetch("prices", Price.objects.on_the_list(at).order_by("interval", "currency"))
    return answer(request, PlanList(items=[_told(plan) for plan in plans.prefetch_related(prices)]))


def _told(plan: Plan) -> PlanTold:
    """Of a plan whose prices are fetched: those on the list."""
    return PlanTold(
        code=plan.code,
        name=plan.name,
        features=sorted(plan.features),
        prices=[
            PriceTold(interval=NAMES[price.interval], cents=price.cents, currency=price.currency)
            for price in plan.prices.all()
        ],
    )
