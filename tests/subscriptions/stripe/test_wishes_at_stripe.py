"""From the owner's click to Stripe's answer: the sweep `wishes` with Stripe behind it, killed wherever it may be."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.models import Account, Event, Notice
from subscriptions.billing import agreeing
from subscriptions.billing.agreeing import agree_due
from subscriptions.billing.holding import HeldStatus, Holding
from subscriptions.billing.provider import provider_of
from subscriptions.billing.wish import Wish
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Finding, Refund, Subscription
from subscriptions.refunds.paying import carry_out_due
from tests.factories import AccountFactory, owner_of, subscribe
from tests.fakes.stripe import FakeStripe

BOUGHT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PERIOD_END = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
CANCELLED = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)

Json = dict[str, Any]


def hold(stripe: FakeStripe, account: Account) -> tuple[Subscription, Json]:
    """The same subscription here and there, bought on 1 March."""
    stripe.now = BOUGHT
    there = stripe.subscribe(stripe.customer(), stripe.price(4900))
    here = subscribe(account, at=BOUGHT)
    Subscription.objects.filter(pk=here.pk).update(
        held_by="stripe", period_started_at=BOUGHT, period_ends_at=PERIOD_END
    )
    Holding.objects.create(
        subscription=here,
        provider="stripe",
        reference=there["id"],
        customer_reference=there["customer"],
        status=HeldStatus.LIVE,
        read_at=BOUGHT,
    )
    here.refresh_from_db()
    stripe.advance(CANCELLED)
    return here, there


@pytest.mark.django_db
def test_cancelling_reaches_stripe_and_nothing_more_is_charged(account: Account, stripe: FakeStripe) -> None:
    here, there = hold(stripe, account)
    cancel(here, by=owner_of(here), at=CANCELLED, reason="unused")
    assert agree_due(CANCELLED) == 1
    assert there["cancel_at"] == PERIOD_END.timestamp()
    stripe.advance(PERIOD_END + timedelta(days=40))
    assert [invoice["amount_paid"] for invoice in stripe.invoices] == [4900]


@pytest.mark.django_db
def test_cancel_keep_cancel_is_what_was_wished_last(account: Account, stripe: FakeStripe) -> None:
    here, there = hold(stripe, account)
    owner = owner_of(here)
    first, _new = cancel(here, by=owner, at=CANCELLED)
    agree_due(CANCELLED)
    withdraw(first, by=owner, at=CANCELLED + timedelta(minutes=1))
    cancel(here, by=owner, at=CANCELLED + timedelta(minutes=2))
    agree_due(CANCELLED + timedelta(minutes=3))
    assert there["cancel_at"] == PERIOD_END.timestamp()
    wish = Wish.objects.get()
    assert (wish.version, wish.want, wish.outcome) == (3, "end", "agreed")


def only(refunds: Any) -> str:
    [refund] = refunds
    return str(refund["id"])


@pytest.mark.django_db
def test_cancelled_with_stripe_away_across_the_renewal_nothing_is_charged_in_the_end(
    account: Account, stripe: FakeStripe
) -> None:
    here, there = hold(stripe, account)
    cancel(here, by=owner_of(here), at=CANCELLED)
    away = stripe.away()
    at = CANCELLED
    while at < PERIOD_END + timedelta(hours=3):
        agree_due(at)
        at += timedelta(hours=12)
    stripe.advance(PERIOD_END + timedelta(hours=4))
    assert there["status"] == "active"
    stripe.heal(away)
    assert agree_due(PERIOD_END + timedelta(hours=5)) == 1
    assert there["status"] == "canceled"
    paid = sum(invoice["amount_paid"] for invoice in stripe.invoices)
    assert paid - sum(refund["amount"] for refund in stripe.refunds) == 4900
    wish = Wish.objects.get()
    assert (wish.outcome, wish.answer["undone"][0]["what"]) == ("ended", "refunded")
    # The owner is told that it comes back, and that it has been paid; staff find it.
    refund = Refund.objects.get()
    assert (refund.cause, refund.cents, refund.provider_reference) == ("charged_after_end", 4900, only(stripe.refunds))
    assert Notice.objects.filter(kind="subscriptions/charge_undone").count() == 1
    carry_out_due(PERIOD_END + timedelta(hours=6))
    carry_out_due(PERIOD_END + timedelta(hours=7))
    assert Notice.objects.filter(kind="subscriptions/refund_paid").count() == 1
    assert Finding.objects.get().code == "charged-after-end"


@pytest.mark.django_db
def test_a_worker_that_dies_after_the_call_and_before_the_note_asks_for_nothing_twice(
    account: Account, stripe: FakeStripe
) -> None:
    here, _there = hold(stripe, account)
    cancel(here, by=owner_of(here), at=CANCELLED)
    wish = Wish.objects.get()
    # What it does before it dies: claim, note as sent, call.
    request = agreeing.sent(wish, CANCELLED, by_itself=True)
    assert request is not None
    provider_of(here).agree(request)
    stripe.forget_requests()
    # Its lease is over.
    assert agree_due(CANCELLED + Wish.LEASE) == 1
    assert stripe.changes() == []
    assert Event.objects.filter(kind="billing.stopped").count() == 1


@pytest.fixture
def many(stripe: FakeStripe) -> list[Json]:
    return [_cancelled(stripe) for _number in range(24)]


def _cancelled(stripe: FakeStripe) -> Json:
    here, there = hold(stripe, AccountFactory())
    cancel(here, by=owner_of(here), at=CANCELLED)
    return there


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_calls_overlap_and_none_is_made_twice(stripe: FakeStripe, many: list[Json], settings: Any) -> None:
    settings.STRIPE_CALLS_A_SECOND = stripe.calls_per_second = 100
    stripe.forget_requests()
    stripe.latency = 0.1
    assert agree_due(CANCELLED) == 24
    assert {there["cancel_at"] for there in many} == {PERIOD_END.timestamp()}
    # One reading and one change each, and never more than the limit.
    assert (stripe.count(), len(stripe.changes()), stripe.over_limit) == (48, 24, 0)
    times = sorted(request.monotonic for request in stripe.requests)
    # One after the other they would take 4.8 s.
    assert times[-1] - times[0] < 3
    assert not connection.in_atomic_block


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_one_that_stripe_refuses_holds_up_no_other(stripe: FakeStripe, many: list[Json]) -> None:
    poison = many[0]
    stripe.fail(f"* /v1/subscriptions/{poison['id']}", 500, times=None)
    assert agree_due(CANCELLED) == 23
    wish = Wish.objects.open().get()
    assert (wish.attempts, wish.last_error) == (1, "no answer of Stripe's (500)")
    assert Notice.objects.filter(kind="subscriptions/cancellation_confirmed").count() == 24
