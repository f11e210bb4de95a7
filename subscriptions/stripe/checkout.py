"""Buying at Stripe: Checkout and the customer portal, both Stripe's own pages (docs.stripe.com/payments/checkout).

The customer is made first, once an account, and known by the account's id alone: no name and no address is sent. A
session without a customer would make another one each time. What was bought is never believed of the session: when it
is complete the customer is checked as after a message of Stripe's, and what that takes over counts (facts/stripe, 5).

An owner waits for these calls. What Stripe refuses is `NotOnSale`; whatever else goes wrong is `OutOfReach`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.core.write_guard import BeingErased
from accounts.customers.promises import page_of
from accounts.jobs.due_work import NotYet
from accounts.models import Account
from subscriptions.billing import buying
from subscriptions.billing.finding import find
from subscriptions.billing.holding import Holding
from subscriptions.billing.offers import Offer, on_the_list
from subscriptions.billing.purchase import Purchase, PurchaseState
from subscriptions.billing.selling import NotOnSale, OutOfReach, Progress
from subscriptions.plan import Interval, Plan
from subscriptions.stripe.checks import check
from subscriptions.stripe.client import StripeError, StripeRefused, stripe_api
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.payloads import CODE, UnreadableAnswer, reference
from subscriptions.stripe.price import StripePrice

#: The keys of our ids in Stripe's metadata. They say what a thing is about, never whose it is: that the customer says.
ACCOUNT_KEY, PURCHASE_KEY = "offboard_account", "offboard_purchase"
#: What a subscription is called that was never paid.
NEVER_BEGAN = frozenset({"incomplete_expired", "canceled"})


def offers(at: datetime) -> Sequence[Offer]:
    """What can be bought: of several prices of one plan and interval the one that our list says, else none of them.

    A single one is sold at what it costs there, for that is what is charged.
    """
    prices = StripePrice.objects.sold().filter(plan__in=Plan.objects.sold(at), cents__gt=0).select_related("plan")
    listed = {(offer.plan.pk, int(offer.interval), offer.cents, offer.currency) for offer in on_the_list(at)}
    ordered = sorted(prices, key=lambda price: (price.plan_id or "", price.interval or 0, price.pk))
    found = []
    for _kind, same in groupby(ordered, key=lambda price: (price.plan_id, price.interval)):
        candidates = list(same)
        as_listed = [price for price in candidates if _terms(price) in listed]
        if as_listed or len(candidates) == 1:
            found.append(_offer((as_listed or candidates)[0]))
    return found


def checkout(purchase: Purchase, *, at: datetime) -> str:
    """The address of the session in which it is paid: made now, or the one that is open."""
    if purchase.session_reference:
        session = _session(purchase, at)
        if session.get("status") == "open" and session.get("url"):
            return str(session["url"])
        raise OutOfReach
    try:
        session = _make(purchase, at)
    except (NotOnSale, OutOfReach):
        # Nobody has been led there: the next attempt is another purchase, with another key.
        _close_unvisited(purchase, PurchaseState.FAILED, at)
        raise
    made = reference(session)
    still_wanted = Purchase.objects.open().filter(pk=purchase.pk, session_reference__in=("", made))
    if not made or not session.get("url") or not still_wanted.update(session_reference=made):
        # Closed by another tab in the meantime: nobody is led to it.
        _expire(made, at)
        raise buying.AnotherTab
    return str(session["url"])


def confirm(purchase: Purchase, *, at: datetime) -> Progress:
    """What Stripe says of an open purchase, taken over."""
    if not purchase.session_reference:
        if at < purchase.expires_at:
            return Progress.TO_PAY
        _close_unvisited(purchase, PurchaseState.EXPIRED, at)
        return Progress.CLOSED
    session = _session(purchase, at)
    if not _is_of(session, purchase):
        find(
            "foreign-session",
            provider=CODE,
            reference=purchase.session_reference,
            account=purchase.account,
            facts={"purchase": purchase.reference},
            at=at,
        )
        return _closed(purchase, PurchaseState.FAILED, at)
    if session.get("status") == "open":
        return Progress.TO_PAY
    if session.get("status") == "expired":
        return _closed(purchase, PurchaseState.EXPIRED, at)
    return _take_over(purchase, session, at)


def give_up(purchase: Purchase, *, at: datetime) -> Progress:
    """See to it that nobody can pay it any more, and say what became of it until then."""
    if not purchase.session_reference:
        # Nobody has been led to it: its address is handed out after it was written down.
        _close_unvisited(purchase, PurchaseState.EXPIRED, at)
        purchase.refresh_from_db()
        if purchase.state != PurchaseState.OPEN:
            return Progress.CLOSED
    _expire(purchase.session_reference, at)
    return confirm(purchase, at=at)


def portal(account: Account, return_url: str, *, at: datetime) -> str:
    """The address of Stripe's page with the card and the invoices. A credential: it is not kept, and in no log."""
    customer = StripeCustomer.objects.filter(account=account, deleted_at=None).first()
    if customer is None:
        raise NotOnSale
    return str(
        _ask(
            lambda v1: v1.billing_portal.sessions.create({"customer": customer.reference, "return_url": return_url}), at
        ).get("url")
        or ""
    )


def customer_of(account: Account, *, at: datetime) -> StripeCustomer:
    """The account's customer at Stripe, made if there is none, or if it was deleted there. Raises `BeingErased`."""
    known = StripeCustomer.objects.filter(account=account).first()
    if known and known.deleted_at is None:
        return known
    before = known.reference if known else ""
    said = _ask(
        lambda v1: v1.customers.create(
            {"metadata": {ACCOUNT_KEY: str(account.pk)}},
            {"idempotency_key": f"customer:{account.pk}:{before}".rstrip(":")},
        ),
        at,
    )
    with transaction.atomic():
        locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if locked.purging_at:
            raise BeingErased(account.pk)
        customer, _new = StripeCustomer.objects.update_or_create(
            account=locked,
            defaults={
                "reference": reference(said),
                "livemode": bool(said.get("livemode")),
                "deleted_at": None,
                "read_at": None,
            },
        )
    return customer


def _make(purchase: Purchase, at: datetime) -> Mapping[str, Any]:
    """A session, its parameters and its key from the row alone: asked for twice it is the same one."""
    customer = customer_of(purchase.account, at=at)
    ours = {ACCOUNT_KEY: str(purchase.account_id), PURCHASE_KEY: purchase.reference}
    back = f"{settings.SITE_URL}{page_of(purchase.account, 'bought')}&purchase={purchase.reference}"
    return _ask(
        lambda v1: v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": customer.reference,
                "client_reference_id": purchase.reference,
                "line_items": [{"price": purchase.price_reference, "quantity": purchase.seats}],
                "success_url": back,
                "cancel_url": f"{settings.SITE_URL}{page_of(purchase.account, 'plans')}",
                "expires_at": int(purchase.expires_at.timestamp()),
                "metadata": ours,
                # It is copied from the session to nothing that the session makes.
                "subscription_data": {"metadata": ours},
            },
            {"idempotency_key": f"checkout:{purchase.reference}"},
        ),
        at,
    )


def _take_over(purchase: Purchase, session: Mapping[str, Any], at: datetime) -> Progress:
    """The session is complete: ask what its customer holds now, as after a message."""
    customer = StripeCustomer.objects.get(account_id=purchase.account_id)
    try:
        check(customer, at)
    except (NotYet, UnreadableAnswer) as error:
        raise OutOfReach from error
    bought = reference(session.get("subscription"))
    if not bought:
        return Progress.PAID
    holding = Holding.objects.filter(provider=CODE, reference=bought).first()
    if holding:
        return _closed(purchase, PurchaseState.COMPLETED, at, holding.subscription_id)
    status = _ask(lambda v1: v1.subscriptions.retrieve(bought), at).get("status")
    if status == "incomplete":
        return Progress.PAID
    if status in NEVER_BEGAN:
        return _closed(purchase, PurchaseState.FAILED, at)
    # Paid, and not to be taken over: whatever holds the account meanwhile, or the price. Staff see why (findings).
    find(
        "paid-in-vain",
        provider=CODE,
        reference=bought,
        account=purchase.account,
        facts={"purchase": purchase.reference},
        at=at,
    )
    return _closed(purchase, PurchaseState.COMPLETED, at)


def _is_of(session: Mapping[str, Any], purchase: Purchase) -> bool:
    """Whether it was paid by this account: by the customer that we made for it, not by what metadata say."""
    customer = StripeCustomer.objects.filter(account_id=purchase.account_id).first()
    same = customer is not None and reference(session.get("customer")) == customer.reference
    return same and session.get("livemode") == settings.STRIPE_LIVEMODE


def _session(purchase: Purchase, at: datetime) -> Mapping[str, Any]:
    return _ask(lambda v1: v1.checkout.sessions.retrieve(purchase.session_reference), at)


def _expire(session_reference: str, at: datetime) -> None:
    """Close a session. One that is complete or over stays what it is: whoever asks next is told."""
    if not session_reference:
        return
    key = {"idempotency_key": f"expire:{session_reference}"}
    try:
        _ask(lambda v1: v1.checkout.sessions.expire(session_reference, {}, key), at)
    except NotOnSale:
        return


def _close_unvisited(purchase: Purchase, state: PurchaseState, at: datetime) -> None:
    """Close a purchase to whose page nobody has been led: not if another request has just written its address down."""
    unvisited = Purchase.objects.open().filter(pk=purchase.pk, session_reference="")
    unvisited.update(state=state, closed_at=at)


def _closed(purchase: Purchase, state: PurchaseState, at: datetime, subscription_id: int | None = None) -> Progress:
    buying.close(purchase, state, at=at, subscription_id=subscription_id)
    return Progress.CLOSED


def _offer(price: StripePrice) -> Offer:
    # A mapped price has all of them: the database sees to it.
    assert price.plan is not None
    assert price.interval is not None
    assert price.cents is not None
    return Offer(price.plan, Interval(price.interval), price.cents, price.currency.upper(), price.reference)


def _terms(price: StripePrice) -> tuple[object, ...]:
    return (price.plan_id, price.interval, price.cents, price.currency.upper())


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except StripeRefused as error:
        raise NotOnSale from error
    except StripeError as error:
        raise OutOfReach from error


def _ask(call: Callable[..., Any], at: datetime) -> Mapping[str, Any]:
    with _in_our_words():
        return stripe_api().ask(call, at=at)
