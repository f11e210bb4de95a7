"""A subscription that a provider holds: its dates and payments are the provider's, and it may be suspended."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from accounts.models import Account
from subscriptions.billing.invoice import Invoice
from subscriptions.current_plan import entitlements
from subscriptions.models import Channel, Subscription
from subscriptions.pricing.repricing import paid_so_far
from tests.factories import NOW, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
BEGAN, ENDS = datetime(2026, 4, 2, 12, tzinfo=UTC), datetime(2026, 5, 2, 12, tzinfo=UTC)


def held(account: Account, **changes: object) -> Subscription:
    subscription = subscribe(account)
    facts = {"held_by": "bank", "period_started_at": BEGAN, "period_ends_at": ENDS, **changes}
    Subscription.objects.filter(pk=subscription.pk).update(**facts)
    subscription.refresh_from_db()
    return subscription


def test_its_cycle_is_the_providers_period_whatever_arithmetic_says(account: Account) -> None:
    subscription = held(account)
    assert subscription.cycle(BEGAN + DAY).start == BEGAN
    assert subscription.paid_through(BEGAN + DAY) == ENDS
    assert not subscription.is_to_be_confirmed(ENDS - timedelta(seconds=1))


def test_after_a_period_that_is_over_it_is_arithmetic_to_be_confirmed(account: Account) -> None:
    subscription = held(account)
    assert subscription.paid_through(ENDS) == datetime(2026, 6, 2, 12, tzinfo=UTC)
    assert subscription.is_to_be_confirmed(ENDS)


def test_the_31st_stays_the_31st_after_a_february(account: Account) -> None:
    end = datetime(2027, 2, 28, 12, tzinfo=UTC)
    anchor = datetime(2026, 3, 31, 12, tzinfo=UTC)
    subscription = held(
        account, anchor_at=anchor, period_started_at=datetime(2027, 1, 31, 12, tzinfo=UTC), period_ends_at=end
    )
    assert subscription.paid_through(end) == datetime(2027, 3, 31, 12, tzinfo=UTC)


def test_a_provider_moves_its_own_anchor_and_nobody_another_one(account: Account) -> None:
    subscription = held(account)
    Subscription.objects.filter(pk=subscription.pk).update(anchor_at=BEGAN)
    own = subscribe()
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        Subscription.objects.filter(pk=own.pk).update(anchor_at=BEGAN)


@pytest.mark.parametrize(
    "changes",
    [
        {"period_started_at": ENDS, "period_ends_at": BEGAN},
        {"held_by": ""},
        {"channel": Channel.AWS_MARKETPLACE},
        {"suspended_until": ENDS},
        {"suspended_at": ENDS, "suspended_until": ENDS},
    ],
)
def test_the_database_refuses_what_cannot_be(account: Account, changes: dict[str, object]) -> None:
    subscription = held(account)
    with pytest.raises((IntegrityError, DatabaseError)), transaction.atomic():
        Subscription.objects.filter(pk=subscription.pk).update(**changes)


def test_money_back_is_counted_from_the_first_payment_that_the_provider_says(account: Account) -> None:
    subscription = held(account)
    assert not subscription.money_back_open(NOW + DAY)
    subscription.first_paid_at = NOW + 5 * DAY
    assert subscription.money_back_until == NOW + 35 * DAY
    assert subscription.money_back_open(NOW + 35 * DAY - timedelta(seconds=1))
    assert not subscription.money_back_open(NOW + 35 * DAY)
    assert not subscription.money_back_open(NOW + 4 * DAY)


def test_what_was_paid_is_the_sum_of_its_paid_invoices(account: Account) -> None:
    subscription = held(account)
    for number, (status, cents) in enumerate([("paid", 4900), ("paid", 1250), ("open", 0), ("void", 4900)]):
        Invoice.objects.create(
            subscription=subscription,
            provider="bank",
            reference=f"in_{number}",
            status=status,
            cents_due=4900,
            cents_paid=cents,
            currency="USD",
            issued_at=NOW,
            paid_at=NOW if status == "paid" else None,
        )
    assert paid_so_far(subscription, NOW + DAY) == 6150


def test_a_suspended_one_grants_what_free_does_until_it_goes_on(account: Account) -> None:
    subscription = held(account, suspended_at=NOW + 5 * DAY, suspended_until=NOW + 9 * DAY)
    before = entitlements(account, NOW + 5 * DAY - timedelta(seconds=1))
    assert (before.plan, before.until) == ("pro", NOW + 5 * DAY)
    for at in (NOW + 5 * DAY, NOW + 9 * DAY - timedelta(seconds=1)):
        found = entitlements(account, at)
        assert (found.plan, found.features, found.since, found.until) == (
            ("free", entitlements_of_free(account), NOW + 5 * DAY, NOW + 9 * DAY)
        )
        assert subscription.is_live(at)
    after = entitlements(account, NOW + 9 * DAY)
    assert (after.plan, after.since, after.until) == ("pro", NOW + 9 * DAY, None)


def entitlements_of_free(account: Account) -> frozenset[str]:
    return entitlements(account, NOW - 400 * DAY).features
