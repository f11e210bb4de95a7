"""Buying: the plans and their prices, the way to the provider's page on which one pays, and the way back from it."""

from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.core import clock
from accounts.customers.access import for_owner
from accounts.customers.account import Membership
from accounts.customers.promises import OutOfDate, page_of, require, stands_on, typed
from accounts.customers.user import User
from subscriptions import losses
from subscriptions.billing import buying, in_the_way
from subscriptions.billing.in_the_way import InTheWay
from subscriptions.billing.offers import PlanOnSale, by_plan, on_the_list
from subscriptions.billing.purchase import Purchase, PurchaseState
from subscriptions.billing.selling import NotOnSale, OutOfReach, Progress, Seller, paid_at, seller
from subscriptions.current_plan import Standing, standing_of
from subscriptions.forms import PurchaseForm
from subscriptions.subscription import Subscription
from subscriptions.views.leading_out import lead_out


@require_http_methods(["GET", "HEAD", "POST"])
@for_owner
def plans(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: what there is, what it costs and brings. POST (`plan`, `interval`, `seats`): to the page where one pays.

    The form says which prices it was made from; where one is another now, nobody is sent to pay it (409). So is
    whoever has something already: in words, by this account's state at the instant of the button, not of the page.
    """
    at = clock.of(request)
    provider = seller()
    if request.method != "POST":
        return _page(request, membership, provider)
    if provider is None:
        return _page(request, membership, provider, refused=InTheWay(_("Nothing can be bought here.")))
    on_sale = next((found for found in by_plan(provider.offers(at)) if found.plan.pk == request.POST.get("plan")), None)
    if on_sale is None:
        raise OutOfDate
    require(request, on_sale.shown)
    form = PurchaseForm(on_sale, request.POST)
    if not form.is_valid():
        return _page(request, membership, provider, form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    offer = on_sale.offer(form.cleaned_data["interval"])
    assert offer is not None
    by = User.signed_in(request.user)
    try:
        address = buying.lead_to_payment(
            membership.account, offer, seats=form.cleaned_data["seats"], seller=provider, by=by, at=at
        )
    except InTheWay as refused:
        return _page(request, membership, provider, form=form, refused=refused)
    except NotOnSale as refused:
        return _page(request, membership, provider, form=form, refused=refused)
    except OutOfReach as refused:
        return _page(request, membership, provider, form=form, refused=refused, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return redirect(address)


@require_safe
@for_owner
def bought(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET (`purchase`): the owner is back from paying. What is said here is what the provider answers, now.

    Nothing is believed of the address but which purchase it is about, and that only of this account's own.
    """
    at = clock.of(request)
    purchase = _named(request, membership)
    try:
        progress = buying.confirm(purchase, at=at)
    except OutOfReach:
        # The sweep and the provider's own message go on asking.
        return _come_back(request, membership, purchase, "unknown", _("Not confirmed yet"))
    purchase.refresh_from_db()
    if progress == Progress.TO_PAY:
        return _come_back(request, membership, purchase, "to_pay", _("Not paid yet"))
    if progress == Progress.PAID:
        return _come_back(request, membership, purchase, "paid", _("Your payment is being confirmed"))
    if purchase.state != PurchaseState.COMPLETED:
        return _come_back(request, membership, purchase, "nothing", _("Nothing was bought"))
    begun = purchase.subscription
    if begun is None:
        return _come_back(request, membership, purchase, "looked_at", _("We are looking at your payment"))
    if not begun.is_live(at):
        # A page of the past, opened again.
        return redirect(page_of(membership.account, "subscription"))
    return _come_back(
        request, membership, purchase, "begun", _("You are on %(plan)s") % {"plan": begun.plan.name}, begun
    )


@require_POST
@stands_on("subscription")
@for_owner
def payment(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST: to the provider's page with the card and the invoices, and back to Subscription Settings from there."""
    at = clock.of(request)
    provider = paid_at(membership.account)
    if provider is None:
        raise OutOfDate
    back = f"{settings.SITE_URL}{page_of(membership.account, 'subscription')}"
    try:
        address = provider.portal(membership.account, back, at=at)
        if not buying.leads_to(provider, address):
            raise OutOfReach
    except (OutOfReach, NotOnSale):
        message = _("Our payment provider does not answer just now. Please try again in a few minutes.")
        context = {"title": _("Not just now"), "message": f"{message} {_('Nothing was changed.')}"}
        return render(request, "error.html", context, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return redirect(address)


def _come_back(
    request: HttpRequest,
    membership: Membership,
    purchase: Purchase,
    state: str,
    title: str,
    begun: Subscription | None = None,
) -> HttpResponse:
    at = clock.of(request)
    return render(
        request,
        "subscriptions/bought.html",
        {
            "membership": membership,
            "purchase": purchase,
            "state": state,
            "title": title,
            "subscription": begun,
            "renews_at": begun.paid_through(at) if begun else None,
            "on_trial": bool(begun and begun.on_trial(at)),
            "came_back": bool(begun and Subscription.objects.of(membership.account).ended(at).real().exists()),
        },
    )


def _named(request: HttpRequest, membership: Membership) -> Purchase:
    """The purchase that the address names, of this account. Anybody else's does not exist for its reader."""
    named = request.GET.get("purchase", "")
    found = Purchase.objects.filter(account=membership.account).select_related("plan", "subscription__plan")
    purchase = found.filter(reference=named).first()
    if purchase is None:
        raise Http404
    return purchase


def _page(
    request: HttpRequest,
    membership: Membership,
    provider: Seller | None,
    *,
    form: PurchaseForm | None = None,
    refused: InTheWay | OutOfReach | NotOnSale | None = None,
    status: int | None = None,
) -> HttpResponse:
    at = clock.of(request)
    account = membership.account
    standing = standing_of(account, at)
    in_way = refused or in_the_way.obstacle(account, at)
    on_sale = by_plan(provider.offers(at) if provider else on_the_list(at))
    page = render(
        request,
        "subscriptions/plans.html",
        {
            "membership": membership,
            "standing": standing,
            "sells": provider is not None,
            "in_the_way": in_way,
            "closed": isinstance(in_way, InTheWay),
            "plans": [(found, _form_for(found, form, standing, request)) for found in on_sale],
            "losses": losses.of(account, standing.last.plan, at) if standing.last and not standing.subscription else [],
        },
        status=status or (HTTPStatus.CONFLICT if refused else HTTPStatus.OK),
    )
    return lead_out(page, provider)


def _form_for(on_sale: PlanOnSale, sent: PurchaseForm | None, standing: Standing, request: HttpRequest) -> PurchaseForm:
    """The form of one plan: as it was sent, if it was this one's; else with what the account had before."""
    if sent and sent.on_sale.plan == on_sale.plan:
        return sent
    last = standing.last
    before = {"interval": last.interval, "seats": last.seats} if last else {}
    kept = typed(request) if request.POST.get("plan") == on_sale.plan.pk else {}
    return PurchaseForm(on_sale, initial={"seats": 1, **before, **kept})
