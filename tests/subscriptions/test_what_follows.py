"""A subscription that another one follows: what is refused, and what is said of its end."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from accounts.customers.history import Actor
from accounts.models import Account, Event, Notice, User
from subscriptions import contracts
from subscriptions.ending.cancellation import AnotherFollows, Cancellation, cancel, withdraw
from subscriptions.ending.settling import settle_due
from subscriptions.models import Plan, Subscription
from tests.factories import NOW, subscribe
from tests.pages import press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
SETTINGS = "/user/subscription/"
KEEP = "/user/subscription/cancellation/withdraw/"
SECOND = timedelta(seconds=1)
YEAR = timedelta(days=365)


def cancelled_and_followed(account: Account, owner: User, staff: User, gap: timedelta) -> Cancellation:
    """A subscription that its owner has cancelled, and a contract that begins `gap` after its end."""
    cancellation, _new = cancel(subscribe(account, at=NOW - DAY), by=Actor.owner(owner), at=NOW)
    contracts.enter(
        account,
        plan=Plan.objects.get(code="enterprise"),
        starts_at=cancellation.effective_at + gap,
        ends_at=cancellation.effective_at + YEAR,
        seats=1,
        order_reference="SO-1",
        by=Actor.staff(staff),
        at=NOW,
    )
    return cancellation


@pytest.mark.parametrize("gap", [0 * SECOND, SECOND, 40 * DAY])
def test_what_a_contract_follows_can_not_be_kept(account: Account, owner: User, staff: User, gap: timedelta) -> None:
    cancellation = cancelled_and_followed(account, owner, staff, gap)
    with pytest.raises(AnotherFollows, match="Enterprise"):
        withdraw(cancellation, by=Actor.owner(owner), at=NOW)
    cancellation.refresh_from_db()
    assert cancellation.withdrawn_at is None
    assert cancellation.subscription.ends_at == cancellation.effective_at


def test_the_owner_and_the_desk_are_told_so_in_words(
    account: Account, owner: User, staff: User, sign_in: SignIn
) -> None:
    cancellation = cancelled_and_followed(account, owner, staff, SECOND)
    with time_machine.travel(NOW + DAY, tick=False):
        answer = press(sign_in(owner), SETTINGS, KEEP)
        assert answer.status_code == 409
        assert "Another subscription (Enterprise) begins on" in answer.content.decode()
        at_the_desk = sign_in(staff).post(
            f"/admin/act/keep/{cancellation.pk}/", {"reason": "They called", "confirmed": "yes"}, follow=True
        )
        assert "Another subscription (Enterprise) begins on" in at_the_desk.content.decode()


@pytest.mark.parametrize(
    ("gap", "kind"),
    [
        (timedelta(0), "subscription.renewed"),
        (timedelta(milliseconds=800), "subscription.renewed"),
        (timedelta(microseconds=999_999), "subscription.renewed"),
        (SECOND, "subscription.ended"),
    ],
)
def test_nobody_is_told_that_they_are_on_free_when_another_begins_within_the_second(
    account: Account, owner: User, staff: User, gap: timedelta, kind: str
) -> None:
    cancellation = cancelled_and_followed(account, owner, staff, gap)
    settle_due(cancellation.effective_at)
    told = Event.objects.get(kind__in=["subscription.renewed", "subscription.ended"])
    assert (told.kind, told.at) == (kind, cancellation.effective_at)
    mails = Notice.objects.filter(kind="subscriptions/subscription_ended").count()
    assert mails == (1 if kind == "subscription.ended" else 0)
    assert Subscription.objects.get(pk=cancellation.subscription_id).settled_at == cancellation.effective_at
