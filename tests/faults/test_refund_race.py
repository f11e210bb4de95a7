"""Two leads at the same instant, and two workers: one refund."""

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from accounts.customers.history import Actor
from accounts.models import Event, Notice
from subscriptions.models import Ends, Payout, Refund, Subscription
from subscriptions.refunds.decisions import approve, propose
from subscriptions.refunds.paying import carry_out_due, say_paid
from tests.factories import NOW, UserFactory, subscribe
from tests.faults.test_side_by_side import together

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]
LATER = NOW + timedelta(days=40)
ROUNDS = 100


def proposal(subscription: Subscription, by: Actor, at: datetime) -> tuple[Refund, bool]:
    return propose(subscription, cents=4900, currency="USD", ends=Ends.NOW, payment_reference="pay_1", by=by, at=at)


def after(seconds: float, call: Callable[[], Any]) -> Any:
    time.sleep(seconds)
    return call()


def test_two_leads_approve_one_refund_at_the_same_instant_a_hundred_times() -> None:
    agent, *leads = [Actor.staff(UserFactory(is_staff=True)) for _person in range(3)]
    chance = random.Random(20260317)  # noqa: S311  # the same staggers in every run
    first_wins = 0
    for _round in range(ROUNDS):
        # Asked for too late: it takes two people.
        refund, _new = proposal(subscribe(cents=4900), agent, LATER)
        # A stagger within the time that approving takes, so that each wins some of the rounds.
        outcomes = together(
            *[partial(after, chance.uniform(0, 0.004), partial(approve, refund, by=lead, at=LATER)) for lead in leads]
        )
        assert sorted(outcomes) == [False, True]
        first_wins += outcomes[0]
        said = together(*[partial(say_paid, refund, payment_reference="re_1", by=lead, at=LATER) for lead in leads])
        assert sorted(said) == [False, True]
        assert sorted(together(*[partial(carry_out_due, LATER)] * 2)) == [0, 1]
    # Each of them was first now and then, or nothing was raced.
    assert 0 < first_wins < ROUNDS
    assert Refund.objects.exclude(ended_at=None).count() == ROUNDS
    assert Payout.objects.count() == ROUNDS
    for mail in ("refund_approved", "refund_paid"):
        assert Notice.objects.filter(kind=f"subscriptions/{mail}").count() == ROUNDS
    for kind in ("refund.approved", "refund.paid", "refund.finished", "subscription.ended"):
        assert Event.objects.filter(kind=kind).count() == ROUNDS, kind


def test_two_agents_propose_at_the_same_instant_and_there_is_one_refund() -> None:
    agents = [Actor.staff(UserFactory(is_staff=True)) for _person in range(2)]
    for _round in range(20):
        subscription = subscribe(cents=4900)
        outcomes = together(*[partial(proposal, subscription, by, NOW) for by in agents])
        assert sorted(new for _refund, new in outcomes) == [False, True]
        assert subscription.refunds.count() == 1
