"""Reconciliation with Stripe: the `stripe-reconcile` sweep.

Events get lost, and nobody is told of what was done while we were away for longer than Stripe tries. So each night all
of it is walked, a hundred to a page: prices first, then subscriptions of all statuses. The walk itself changes nothing
of a customer's: whoever is said to hold something else than we do is asked about by `stripe-check`, one by one, and so
is who is missing. A page that fails leaves it at that; and when too many are missing at once, which is what a key of
the wrong account looks like, the breaker stops the run before anybody is asked about.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.checks import breaker
from accounts.jobs import sweeps
from accounts.jobs.queues import Queue
from subscriptions.billing import paid_after_end
from subscriptions.billing.finding import Finding, find
from subscriptions.billing.holding import HeldStatus, Holding
from subscriptions.billing.taking_over import is_behind
from subscriptions.stripe import messages
from subscriptions.stripe.client import StripeApi, is_configured, stripe_api
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.payloads import (
    CODE,
    NotOurs,
    Said,
    UnreadableAnswer,
    customers_in,
    held,
    read_price,
    read_subscription,
)
from subscriptions.stripe.price import StripePrice

#: Of a walk: as many as Stripe gives at once.
PAGE = 100
#: Stripe tries to deliver an event for three days, and is asked for what it could not from a little before that on.
OUTAGE = timedelta(days=4)
#: What changes something here. Stripe takes up to twenty types in a question.
TOLD_OF = (
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.deleted",
    "checkout.session.completed",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.voided",
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.closed",
    "refund.updated",
    "refund.failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
)
#: Those of them that name no customer, or say what no list does: each is heard as it would have been at our door.
MORE_THAN_A_HINT = ("customer.deleted", "charge.dispute.", "refund.")

#: A walk that takes longer is given up, with nobody asked about for being missing: the queue would end it.
RUN = timedelta(minutes=15)


class WalkTooLong(Exception):
    """Stripe's list took longer than a run may: nothing is concluded from a part of it."""

    def __init__(self) -> None:
        super().__init__(f"the walk over Stripe's subscriptions took longer than {RUN}")


def preview(at: datetime) -> Iterator[str]:
    """What `reconcile` would ask about at `at`: Stripe is read, nothing is changed."""
    if not is_configured():
        return
    for page in _pages(stripe_api(), at):
        for customer in StripeCustomer.objects.filter(reference__in=_behind(page, at)).order_by("pk"):
            yield f"{customer.account_id} {customer}: Stripe says something else than was taken over"


def reconcile(at: datetime) -> int:
    """Compare everything that Stripe holds with what we do. Returns how many subscriptions that was.

    Raises, with nobody asked about for being missing, when a page could not be read, and `BreakerOpen`.
    """
    if not is_configured():
        return 0
    api = stripe_api()
    read_prices(api, at)
    walked = unlinked = 0
    stop = time.monotonic() + RUN.total_seconds()
    for page in _pages(api, at):
        if time.monotonic() > stop:
            raise WalkTooLong
        StripeCustomer.objects.filter(reference__in=_behind(page, at)).ask(at)
        Holding.objects.filter(provider=CODE, reference__in=[said.reference for said in page]).update(walked_at=at)
        unlinked += _unlinked(page)
        walked += len(page)
    absent = missing(at)
    running = Holding.objects.filter(provider=CODE).exclude(status=HeldStatus.ENDED)
    breaker.stop_if_too_many(absent.count(), of=running.count(), whose="Stripe")
    StripeCustomer.objects.filter(reference__in=absent.values("customer_reference")).ask(at)
    _ask_about_undelivered(api, at)
    paid_after_end.look(at)
    if unlinked:
        find("unlinked-subscriptions", provider=CODE, facts={"count": unlinked}, at=at)
    else:
        Finding.objects.open().filter(provider=CODE, code="unlinked-subscriptions").update(closed_at=at)
    return walked


def read_prices(api: StripeApi, at: datetime) -> int:
    """Read all prices, sold or not, and what plans they buy. Returns how many. Not inside a transaction."""
    known = {price.reference: price for price in StripePrice.objects.all()}
    count = 0
    for said in every_price(api, at):
        read_price(said, known.get(said["id"]), at=at).save()
        count += 1
    return count


def every_price(api: StripeApi, at: datetime) -> Iterator[dict[str, Any]]:
    """All prices with their products as Stripe says them: those on sale, then those that are no more."""
    for active in (True, False):
        yield from _prices(api, active, at)


def _prices(api: StripeApi, active: bool, at: datetime) -> Iterator[dict[str, Any]]:
    return api.every(
        lambda v1, page: v1.prices.list({"active": active, "expand": ["data.product"], **page}),
        at=at,
    )


def missing(at: datetime) -> "QuerySet[Holding]":
    """What we hold and a complete walk as of `at` has not met, though it should: not what was read since."""
    unmet = Q(walked_at=None) | Q(walked_at__lt=at)
    return Holding.objects.filter(unmet, provider=CODE, read_at__lt=at).exclude(status=HeldStatus.ENDED)


def _pages(api: StripeApi, at: datetime) -> Iterator[list[Said]]:
    """Every subscription, a page at a time. What can't be read is asked about with its customer, who then shows it."""
    page: list[Said] = []
    for each in api.every(lambda v1, page: v1.subscriptions.list({"status": "all", **page}), at=at):
        try:
            page.append(read_subscription(each))
        except UnreadableAnswer:
            continue
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _behind(page: Iterable[Said], at: datetime) -> set[str]:
    """The customers of a page of whom Stripe says something else than was taken over. Three queries a page."""
    ours = [said for said in page if said.livemode == settings.STRIPE_LIVEMODE]
    prices = StripePrice.objects.in_bulk(
        {item.price_reference for said in ours for item in said.items}, field_name="reference"
    )
    holdings = {
        holding.reference: holding
        for holding in Holding.objects.filter(
            provider=CODE, reference__in=[said.reference for said in ours]
        ).select_related("subscription")
    }
    return {said.customer_reference for said in ours if _differs(said, prices, holdings.get(said.reference), at)}


def _differs(said: Said, prices: Mapping[str, StripePrice], holding: Holding | None, at: datetime) -> bool:
    try:
        theirs = held(said, prices, read_at=at)
    except NotOurs:
        return holding is not None and holding.status_word != said.status
    except UnreadableAnswer:
        return True
    if holding is None:
        return theirs.status not in (HeldStatus.ENDED, HeldStatus.NOT_BEGUN)
    if theirs.status != HeldStatus.ENDED and holding.subscription.is_over(at):
        return True
    return is_behind(holding.subscription, holding, theirs)


def _unlinked(page: Iterable[Said]) -> int:
    """How many of a page run at prices of ours for customers whom we don't know: `stripe_import` links them."""
    prices = set(StripePrice.objects.mapped().values_list("reference", flat=True))
    running = [
        said.customer_reference
        for said in page
        if said.status not in ("canceled", "incomplete_expired", "incomplete")
        and prices.issuperset(item.price_reference for item in said.items)
    ]
    known = set(StripeCustomer.objects.filter(reference__in=running).values_list("reference", flat=True))
    return sum(reference not in known for reference in running)


def _ask_about_undelivered(api: StripeApi, at: datetime) -> int:
    """Ask about whom Stripe could not tell us, after an outage of ours. Returns how many customers that was."""
    since = int((at - OUTAGE).timestamp())
    named: set[str] = set()
    for event in api.every(
        lambda v1, page: v1.events.list(
            {"delivery_success": False, "types": list(TOLD_OF), "created": {"gte": since}, **page}
        ),
        at=at,
    ):
        if str(event.get("type")).startswith(MORE_THAN_A_HINT):
            messages.hear_late(event, at)
        named.update(customers_in(event))
    return StripeCustomer.objects.filter(reference__in=named).ask(at)


SWEEP = sweeps.Sweep(
    "stripe-reconcile", run=reconcile, preview=preview, late_after=timedelta(hours=26), queue=Queue.SLOW, alone=True
)
