"""Mails say who did what in an owner's name, what to do against it, and what is about to happen."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.customers.history import Actor
from accounts.mail import sending
from accounts.models import Account, Notice, User
from accounts.support import deletion
from accounts.support.ownership import hand_over
from accounts.support.requests import RequestKind, ask
from subscriptions import changes
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.ending.reminders import set_end
from subscriptions.models import Interval, Subscription
from tests.factories import NOW, UserFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
COMPARED = ["card_digits", "last_charge_date"]


@pytest.fixture
def subscription(account: Account) -> Subscription:
    return subscribe(account, at=NOW - DAY)


def mail(kind: str, **which: object) -> str:
    return " ".join(str(sending.write(Notice.objects.get(kind=kind, **which)).body).split())


def test_who_support_cancels_for_is_told_who_did_it_and_what_to_do(subscription: Subscription, agent: User) -> None:
    cancel(subscription, by=Actor.staff(agent), at=NOW, identity=COMPARED)
    told = mail("subscriptions/cancellation_confirmed")
    assert "Our support cancelled it in your name, because somebody who gave facts about the account asked" in told
    assert "If it was not you, keep your subscription, and write to support at once:" in told
    assert f"/user/support/?account={subscription.account_id}" in told


def test_who_cancels_themselves_is_not(subscription: Subscription) -> None:
    cancel(subscription, by=owner_of(subscription), at=NOW)
    assert "Our support" not in mail("subscriptions/cancellation_confirmed")


def test_who_support_keeps_a_subscription_or_ends_it_for_is_told_too(subscription: Subscription, agent: User) -> None:
    found, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    withdraw(found, by=Actor.staff(agent), at=NOW)
    assert "Our support took it back in your name" in mail("subscriptions/cancellation_withdrawn")
    changes.end_now(subscription, by=Actor.staff(agent), at=NOW)
    assert "Our support ended it." in mail("subscriptions/subscription_ended")


def taken_over(account: Account, agent: User) -> str:
    heir = UserFactory()
    assert hand_over(account, to=heir, stays=True, by=Actor.staff(agent), at=NOW, identity=COMPARED)
    assert "Free" not in mail("accounts/ownership_handed_over", recipient=account.memberships.get(role="admin").user)
    return mail("accounts/ownership_handed_over", recipient=heir)


def test_a_new_owner_is_told_of_a_pending_cancellation(subscription: Subscription, agent: User) -> None:
    cancel(subscription, by=owner_of(subscription), at=NOW)
    told = taken_over(subscription.account, agent)
    assert "Its Pro subscription was cancelled: it ends on Thursday, April 16, 2026" in told
    assert f"/user/subscription/?account={subscription.account_id}" in told


def test_a_new_owner_is_told_of_a_deletion_that_was_asked_for_or_approved(
    account: Account, owner: User, agent: User, lead: User, other_lead: User
) -> None:
    asked, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    assert f"Its deletion was asked for ({asked.reference})" in taken_over(account, agent)
    deletion.propose(asked, by=Actor.staff(agent), at=NOW, identity=COMPARED)
    deletion.approve(asked, by=Actor.staff(lead), at=NOW)
    heir = UserFactory()
    hand_over(account, to=heir, stays=True, by=Actor.staff(agent), at=NOW + DAY, identity=COMPARED)
    told = mail("accounts/ownership_handed_over", recipient=heir)
    assert "All its data is to be deleted from Tuesday, March 24, 2026" in told


def test_a_new_owner_of_an_account_that_goes_on_is_told_nothing_of_the_kind(
    subscription: Subscription, agent: User
) -> None:
    told = taken_over(subscription.account, agent)
    assert "cancelled" not in told
    assert "deleted" not in told


@pytest.mark.parametrize("state", ["ended", "settled", "called off"])
def test_what_is_over_is_not_changed_any_more(account: Account, state: str) -> None:
    if state == "called off":
        subscription = subscribe(account, at=NOW - DAY, starts_at=NOW + DAY)
        changes.call_off(subscription, at=NOW, by=Actor.system())
    else:
        subscription = subscribe(account, at=NOW - DAY)
        if state == "ended":
            set_end(subscription, NOW, at=NOW)
        else:
            changes.end_at_once(subscription, at=NOW, by=Actor.system())
    before = Subscription.objects.filter(pk=subscription.pk).values().get()
    lines = account.events.count()
    assert not changed(subscription)
    assert Subscription.objects.filter(pk=subscription.pk).values().get() == before
    assert account.events.count() == lines


def test_what_is_to_begin_is_changed(account: Account) -> None:
    subscription = subscribe(account, at=NOW - DAY, starts_at=NOW + DAY)
    assert changed(subscription)
    facts = account.events.get(kind="subscription.changed").facts
    assert (facts["seats"], facts["seats_before"], facts["cents"], facts["cents_before"]) == (7, 1, 100, 4900)
    assert (facts["interval"], facts["interval_before"]) == (12, 1)


def changed(subscription: Subscription) -> bool:
    return changes.change(
        subscription, plan_id="pro", interval=Interval.ANNUAL, seats=7, cents=100, at=NOW, by=Actor.system()
    )


def test_the_history_says_of_a_cancellation_and_an_end_what_was_before_and_what_is_after(
    subscription: Subscription,
) -> None:
    end = subscription.paid_through(NOW).isoformat()
    found, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    withdraw(found, by=owner_of(subscription), at=NOW)
    cancel(subscription, by=owner_of(subscription), at=NOW)
    changes.end_at_once(subscription, at=NOW + DAY, by=Actor.system())
    lines = subscription.account.events.filter(kind__in=["cancellation.requested", "cancellation.withdrawn"])
    told = [(event.facts["ended_before_at"], event.facts["ends_at"]) for event in lines.order_by("id")]
    assert told == [(None, end), (end, None), (None, end)]
    facts = subscription.account.events.get(kind="subscription.ended").facts
    assert (facts["ended_before_at"], facts["ends_at"]) == (end, (NOW + DAY).isoformat())
    assert (facts["plan"], facts["plan_after"]) == ("pro", "free")
