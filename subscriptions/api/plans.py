"""The door of plans: what is sold, and for how much."""

from typing import Literal

from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from ninja import Router

from accounts.api.answers import MAY_CARRY_IF_NONE_MATCH, answer
from accounts.api.caller import Token
from accounts.api.fields import Told
from accounts.api.tokens import Scope
from accounts.core import clock
from subscriptions.plan import Interval, Plan, Price

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
    """Every plan, with its features, and what it costs today. The free one is that of accounts without a subscription.

    One that is sold no longer is among them, for those who have it, without prices.
    """
    now = clock.now()
    listed = Prefetch(
        "prices", Price.objects.on_the_list(now).filter(Q(plan__retired_at=None) | Q(plan__retired_at__gt=now))
    )
    return answer(
        request, PlanList(items=[_told(plan) for plan in Plan.objects.prefetch_related(listed).order_by("code")])
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
