"""User > Subscription Settings: where the account stands, and what its owner can do about it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.core import clock
from accounts.customers.access import for_members
from accounts.customers.account import Membership
from subscriptions import losses
from subscriptions.billing.charge import charge_of
from subscriptions.billing.invoice import Invoice
from subscriptions.billing.selling import paying_at
from subscriptions.channels.settings_notes import notes_for
from subscriptions.current_plan import standing_of
from subscriptions.plan import Plan
from subscriptions.pricing.repricing import announced, price_with
from subscriptions.views.leading_out import lead_out

#: Lines of history on the page; staff see the rest.
HISTORY = 20
#: Invoices on the page: two years of monthly ones. The provider's own page has all, and each as a document.
INVOICES = 24


@require_safe
@for_members
def settings(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET /user/subscription/, for every member; what can be done is shown to the owner alone."""
    at = clock.of(request)
    account = membership.account
    standing = standing_of(account, at)
    live = standing.subscription
    new_price = announced(live) if live else None
    # What was paid, and where, is the owner's to see.
    provider = paying_at(live, standing.last) if membership.is_owner else None
    invoices = Invoice.objects.shown().filter(subscription__account=account).order_by("-issued_at", "-pk")
    page = render(
        request,
        "subscriptions/settings.html",
        {
            "membership": membership,
            "account": account,
            "owner": account.owner(),
            "standing": standing,
            "subscription": live,
            "plan": live.plan if live else Plan.objects.free(),
            "cycle_cents": price_with(live, new_price, at) * live.seats if live else None,
            "new_price": new_price,
            "new_cents": new_price.cents * live.seats if live and new_price else None,
            "cycle": live.cycle(at) if live else None,
            "on_trial": bool(live and live.on_trial(at)),
            "money_back": bool(live and live.money_back_open(at)),
            "refund": live.refunds.settles().first() if live else None,
            "losses": losses.of(account, standing.last.plan, at) if standing.last and not live else [],
            "notes": notes_for(account, live.channel if live else None, at),
            "charge": charge_of(live or standing.last, at),
            "pays_elsewhere": provider is not None,
            "invoices": invoices[:INVOICES] if provider else (),
            "history": account.events.for_customers().story()[:HISTORY],
        },
    )
    return lead_out(page, provider)
