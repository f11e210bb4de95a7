"""Subscription Settings says no more of the charge than whoever charges has said."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts.customers.history import Actor
from accounts.models import Account, User
from subscriptions.billing.agreeing import agree_due
from subscriptions.billing.by_hand import say_done
from subscriptions.billing.holding import HeldStatus, Holding
from subscriptions.billing.wish import Want, Wish
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Subscription
from tests.factories import NOW, owner_of, subscribe
from tests.subscriptions.billing.provider_for_tests import a_bank

SignIn = Callable[[User | None], Client]

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
STOPPED = "The renewal is stopped: nothing more is charged."
BEING_STOPPED = "The renewal is being stopped where you pay"


def page(client: Client, at: Any, path: str = "/user/subscription/") -> str:
    with time_machine.travel(at, tick=False):
        answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_nothing_more_is_charged_once_staff_have_said_so_and_not_before(
    account: Account, owner: User, staff: User, sign_in: SignIn
) -> None:
    subscription = subscribe(account)
    client = sign_in(owner)
    assert STOPPED not in page(client, NOW + DAY)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    agree_due(NOW + DAY)
    for path in ("/user/subscription/", "/user/subscription/cancellation/"):
        assert STOPPED not in page(client, NOW + DAY, path)
        assert BEING_STOPPED in page(client, NOW + DAY, path)
    say_done(Wish.objects.get(), Want.END, by=Actor.staff(staff), at=NOW + 2 * DAY)
    for path in ("/user/subscription/", "/user/subscription/cancellation/"):
        assert STOPPED in page(client, NOW + 2 * DAY, path)
        assert BEING_STOPPED not in page(client, NOW + 2 * DAY, path)
    withdraw(subscription.cancellations.get(), by=owner_of(subscription), at=NOW + 3 * DAY)
    kept = page(client, NOW + 3 * DAY)
    assert STOPPED not in kept
    assert "The renewal is being taken up again where you pay" in kept


def test_what_costs_nothing_says_nothing_of_a_charge(account: Account, owner: User, sign_in: SignIn) -> None:
    subscription = subscribe(account, cents=0)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    said = page(sign_in(owner), NOW + DAY)
    assert STOPPED not in said
    assert BEING_STOPPED not in said


def test_a_suspended_one_says_since_when_and_that_nothing_is_deleted(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    with a_bank():
        subscription = subscribe(account)
        Subscription.objects.filter(pk=subscription.pk).update(held_by="bank", suspended_at=NOW + DAY)
        assert "suspended since" not in page(sign_in(owner), NOW + DAY - timedelta(seconds=1))
        said = page(sign_in(owner), NOW + DAY)
        assert "The subscription has been suspended since" in said
        assert "the account has what Free has. Nothing is deleted" in said
        assert "Ask support how to go on" in said
        assert "Ask support how to go on" not in page(sign_in(member), NOW + DAY)


def test_a_late_payment_is_told_and_everything_works(account: Account, owner: User, sign_in: SignIn) -> None:
    with a_bank():
        subscription = subscribe(account)
        Subscription.objects.filter(pk=subscription.pk).update(held_by="bank")
        Holding.objects.create(
            subscription=subscription, provider="bank", reference="sub_1", status=HeldStatus.LATE, read_at=NOW
        )
        said = page(sign_in(owner), NOW + DAY)
        assert "The last payment did not come through, and is tried again." in said
