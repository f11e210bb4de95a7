"""Keep, in the last ten minutes: the page says "kept" once Stripe has said so."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Account
from subscriptions.billing.agreeing import agree_due
from subscriptions.billing.keeping import Kept, confirm
from subscriptions.billing.wish import Wish
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Subscription
from tests.factories import owner_of
from tests.fakes.stripe import FakeStripe
from tests.subscriptions.stripe.test_wishes_at_stripe import CANCELLED, PERIOD_END, hold

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
NEAR = PERIOD_END - timedelta(minutes=9)


@pytest.fixture
def cancelled(stripe: FakeStripe, account: Account) -> tuple[Subscription, dict[str, Any]]:
    """It ends with its period, and Stripe has agreed."""
    here, there = hold(stripe, account)
    cancel(here, by=owner_of(here), at=CANCELLED)
    assert agree_due(CANCELLED) == 1
    return here, there


def keep(here: Subscription, at: Any) -> Kept:
    assert withdraw(here.cancellations.get(), by=owner_of(here), at=at)
    return confirm(here, at=at)


def test_it_is_kept_when_stripe_has_said_so(cancelled: tuple[Subscription, dict[str, Any]], stripe: FakeStripe) -> None:
    here, there = cancelled
    stripe.advance(NEAR)
    assert keep(here, NEAR) == Kept.YES
    assert (there["cancel_at"], Wish.objects.get().outcome) == (None, "agreed")


def test_what_had_ended_there_is_not_said_to_be_kept(
    cancelled: tuple[Subscription, dict[str, Any]], stripe: FakeStripe
) -> None:
    here, there = cancelled
    stripe.dashboard_cancel(there, "now")
    assert keep(here, NEAR) == Kept.ENDED
    here.refresh_from_db()
    assert here.settled_at == NEAR


def test_without_an_answer_nothing_is_claimed_and_it_is_asked_again(
    cancelled: tuple[Subscription, dict[str, Any]], stripe: FakeStripe
) -> None:
    here, there = cancelled
    away = stripe.away()
    assert keep(here, NEAR) == Kept.UNKNOWN
    stripe.heal(away)
    assert agree_due(NEAR + timedelta(minutes=1)) == 1
    assert there["cancel_at"] is None


def test_before_the_last_minutes_nobody_waits(
    cancelled: tuple[Subscription, dict[str, Any]], stripe: FakeStripe
) -> None:
    here, _there = cancelled
    stripe.forget_requests()
    assert keep(here, PERIOD_END - timedelta(minutes=11)) == Kept.YES
    assert stripe.count() == 0
