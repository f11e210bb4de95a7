"""The page of one plan at the support desk: what it grants, what it costs, cost and will cost, and who holds it."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.core import clock
from accounts.customers import features
from subscriptions import catalogue
from subscriptions.plan import FREE, Plan
from subscriptions.pricing import repricing

#: Prices that are over, on the page; the newest first.
PAST = 20


@require_safe
def plan_page(request: HttpRequest, code: str) -> HttpResponse:
    """GET: a plan, with buttons for what a lead can do to it and its prices."""
    plan = Plan.objects.filter(pk=code).first()
    if plan is None:
        raise Http404
    at = clock.now()
    prices = plan.prices.order_by("currency", "interval", "from_at")
    ahead = list(prices.ahead(at))
    for price in ahead:
        meant = repricing.meant_by(price).count() if price.notice_days is not None else None
        price.meant = meant  # type: ignore[attr-defined]  # for the template alone
    past = prices.filter(until_at__lte=at) | prices.exclude(called_off_at=None)
    return render(
        request,
        "admin/desk/plan.html",
        {
            **admin.site.each_context(request),
            "title": plan.name,
            "plan": plan,
            "is_free": plan.code == FREE,
            "features": [features.named(code) for code in plan.features],
            "held": catalogue.held(plan, at),
            "listed": prices.on_the_list(at),
            "ahead": ahead,
            "past": past.order_by("-from_at")[:PAST],
        },
    )
