"""The owner's cancellation: what it means, doing it, the receipt, and taking it back."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.core import clock
from accounts.customers.access import for_owner
from accounts.customers.account import Membership
from accounts.customers.history import Actor
from accounts.customers.losses import STAYS
from accounts.customers.promises import page_of, require, stands_on, typed
from accounts.customers.user import User
from accounts.signing_in.fresh_proof import fresh_proof
from subscriptions import losses
from subscriptions.billing.charge import charge_of
from subscriptions.billing.holding import nothing_is_paid
from subscriptions.billing.keeping import Kept, confirm
from subscriptions.billing.wish import Wish
from subscriptions.channels.settings_notes import notes_for
from subscriptions.current_plan import Standing, standing_of
from subscriptions.ending.cancellation import (
    AlreadyEnded,
    AnotherFollows,
    Cancellation,
    EndsInBilling,
    ToBeDeleted,
    cancel,
)
from subscriptions.ending.cancellation import withdraw as withdraw_cancellation
from subscriptions.forms import CancellationForm
from subscriptions.refunds.refund import Refunded
from subscriptions.subscription import Channel, Subscription

#: What the form carries where the page promises no end: it ends when the button is pressed.
AT_ONCE = "at-once"


@require_http_methods(["GET", "HEAD", "POST"])
@fresh_proof
@for_owner
def cancellation(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: what changes, when, and what stays; or the receipt if it is done. POST (`reason`, `comment`): cancel.

    The form says which subscription it is about, and until when it promised that everything works. Where that is not
    so any more, because a new cycle has begun meanwhile, nothing is done, and the page says the new date.
    """
    at = clock.of(request)
    standing = standing_of(membership.account, at)
    if request.method != "POST":
        if standing.cancellation:
            return _receipt(request, membership, standing.cancellation)
        return _confirmation(request, membership, standing, CancellationForm(initial=typed(request)))
    subscription = standing.subscription
    if subscription is None:
        return _refusal(request, standing, _("This account has no subscription that could be cancelled."))
    if subscription.channel != Channel.DIRECT:
        return _refusal(request, standing, "")
    ends_at = _promised_end(subscription, at)
    require(request, subscription.pk, ends_at or AT_ONCE)
    form = CancellationForm(request.POST)
    if not form.is_valid():
        return _confirmation(request, membership, standing, form)
    by = Actor.owner(User.signed_in(request.user))
    try:
        cancel(subscription, by=by, at=at, promised_end=ends_at, **form.cleaned_data)
    except AlreadyEnded:
        return _refusal(request, standing, _("The subscription has ended already. There is nothing left to cancel."))
    if ends_at is None:
        messages.success(request, _("Your subscription has ended. The open invoice is being cancelled where you pay."))
        return redirect(page_of(membership.account, "subscription"))
    return redirect(page_of(membership.account, "cancellation"))


def _promised_end(subscription: Subscription, at: datetime) -> datetime | None:
    """Until when the page says that everything works; None: it says that it ends at once, as nothing is paid."""
    return None if nothing_is_paid(subscription, at) else subscription.paid_through(at)


@require_POST
@stands_on("subscription")
@for_owner
def withdraw(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST: keep the subscription. Refused (409) from the instant at which it has ended, from a stale page too.

    The form says which cancellation is to be taken back: after another one that is not what anybody saw.
    """
    at = clock.of(request)
    back = page_of(membership.account, "subscription")
    cancellations = Cancellation.objects.filter(subscription__account=membership.account)
    newest = cancellations.select_related("subscription").order_by("-requested_at", "-pk").first()
    if newest is None:
        messages.info(request, _("There is no cancellation to take back."))
        return redirect(back)
    if newest.subscription.is_live(at):
        require(request, newest.reference)
    try:
        changed = withdraw_cancellation(newest, by=Actor.owner(User.signed_in(request.user)), at=at)
    except AlreadyEnded:
        return _refusal(
            request,
            standing_of(membership.account, at),
            _("The subscription has ended already and can't be kept any more. Your data is still there."),
        )
    except (Refunded, EndsInBilling, AnotherFollows, ToBeDeleted) as refused:
        return _refusal(request, standing_of(membership.account, at), str(refused))
    kept = confirm(newest.subscription, at=at) if changed else Kept.YES
    if kept == Kept.ENDED:
        return _refusal(
            request,
            standing_of(membership.account, at),
            _("The subscription has ended already and can't be kept any more. Your data is still there."),
        )
    if kept == Kept.UNKNOWN:
        messages.warning(
            request,
            _(
                "You have taken your cancellation back, and we have not heard yet that your payment goes on: it was to "
                "end within minutes. We keep asking. If it has ended there, we write to you."
            ),
        )
    elif Wish.objects.open().filter(pk=newest.subscription_id).exists():
        # Whoever charges has not agreed yet: the page says so until they have, and nothing else is promised.
        messages.success(request, _("You keep your subscription. Its renewal is being taken up again where you pay."))
    elif changed:
        messages.success(request, _("You keep your subscription. It renews as before."))
    else:
        messages.info(request, _("Your subscription was kept already. It renews as before."))
    return redirect(back)


def _confirmation(
    request: HttpRequest, membership: Membership, standing: Standing, form: CancellationForm
) -> HttpResponse:
    if not standing.can_be_cancelled:
        return _refusal(request, standing, "")
    at = clock.of(request)
    subscription = standing.subscription
    assert subscription is not None
    ends_at = _promised_end(subscription, at)
    return render(
        request,
        "subscriptions/cancellation.html",
        {
            "membership": membership,
            "subscription": subscription,
            "effective_at": subscription.paid_through(at),
            "ends_at_once": ends_at is None,
            "is_suspended": subscription.is_suspended(at),
            "promised": ends_at or AT_ONCE,
            "on_trial": subscription.on_trial(at),
            "money_back": subscription.money_back_open(at),
            "losses": losses.of(membership.account, subscription.plan, at),
            "stays": STAYS.all(),
            "form": form,
        },
        status=422 if form.errors else 200,
    )


def _receipt(request: HttpRequest, membership: Membership, cancellation: Cancellation) -> HttpResponse:
    return render(
        request,
        "subscriptions/receipt.html",
        {
            "cancellation": cancellation,
            "charge": charge_of(cancellation.subscription, clock.of(request)),
            "losses": losses.of(membership.account, cancellation.subscription.plan, clock.of(request)),
            "membership": membership,
            "refunded": cancellation.subscription.refunds.settles().exists(),
        },
    )


def _refusal(request: HttpRequest, standing: Standing, message: str) -> HttpResponse:
    """409: the state does not allow it. Says why, and where and how it can be done if not here."""
    live = standing.subscription
    notes = notes_for(live.account, live.channel, clock.of(request)) if live else []
    return render(
        request,
        "subscriptions/refusal.html",
        {"standing": standing, "subscription": live, "message": message, "notes": notes},
        status=409,
    )
