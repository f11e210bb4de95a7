"""A direct subscription that staff write down: rehearsed, logged, told to the owner; one at a time, whoever sold it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.customers.staff import StaffOnly
from accounts.desk.actions.action import act_named, rehearse
from accounts.erasure.purge import Purge
from accounts.mail.sending import write
from accounts.models import Account, Event, Notice, RequestKind, StaffAction, User
from accounts.support import deletion
from accounts.support.requests import ask
from subscriptions import contracts, recording
from subscriptions.current_plan import entitlements
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Channel, Interval, Plan, Subscription
from subscriptions.starting import NotSold
from tests.factories import NOW, owner_of, subscribe
from tests.pages import form_on

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)


def values(**changes: Any) -> dict[str, Any]:
    return {
        "plan": Plan.objects.get(code="pro"),
        "interval": 1,
        "seats": 5,
        "price": None,
        "starts_at": NOW,
        "order_reference": "INV-7",
        "reason": "Case 81",
        **changes,
    }


def recorded(account: Account, by: User, **changes: Any) -> tuple[Subscription, bool]:
    options: dict[str, Any] = {
        "plan": Plan.objects.get(code="pro"),
        "interval": Interval.MONTHLY,
        "seats": 5,
        "starts_at": NOW,
        "at": NOW,
        **changes,
    }
    return recording.record(account, by=Actor.staff(by), **options)


def test_it_is_rehearsed_with_the_owners_mail_and_changes_nothing(account: Account, lead: User) -> None:
    rehearsal = rehearse(act_named("record_subscription"), account, values(), by=Actor.staff(lead), at=NOW)
    assert rehearsal.story == ["Subscription started"]
    (mail,) = rehearsal.mails
    assert (mail.to, mail.subject) == ("owner@example.org", "Your Pro subscription begins on March 17, 2026")
    assert "It costs $245.00 a month. It is for 5 seats. It renews until you cancel it" in mail.text
    assert "Order reference: INV-7" in mail.text
    assert "Nothing here charges for it" in rehearsal.said
    assert not Subscription.objects.exists()
    assert not StaffAction.objects.exists()


def test_it_is_done_once_and_logged(account: Account, lead: User) -> None:
    act = act_named("record_subscription")
    act.perform(account, values(), by=Actor.staff(lead), at=NOW)
    found = Subscription.objects.get()
    assert (found.channel, found.plan_id, found.interval, found.seats) == ("direct", "pro", 1, 5)
    assert (found.cents, found.order_reference, found.started_at, found.ends_at) == (4900, "INV-7", NOW, None)
    deed = StaffAction.objects.get()
    assert (deed.act, deed.account_id, deed.reason, deed.by) == ("record_subscription", account.pk, "Case 81", lead)
    assert [event.kind for event in account.events.order_by("id")] == [
        "subscription.started",
        "desk.record_subscription",
    ]
    assert entitlements(account, NOW).plan == "pro"


def test_the_second_of_two_tabs_changes_nothing(account: Account, lead: User) -> None:
    act, by = act_named("record_subscription"), Actor.staff(lead)
    act.perform(account, values(), by=by, at=NOW)
    said = act.perform(account, values(), by=by, at=NOW + timedelta(minutes=1))
    assert said == "Nothing had to be changed: it was so already."
    assert (Subscription.objects.count(), StaffAction.objects.count(), Notice.objects.count()) == (1, 1, 1)


def test_two_tabs_with_different_terms_make_one_subscription(account: Account, lead: User) -> None:
    recorded(account, lead)
    with pytest.raises(recording.AnotherHolds, match="has a direct subscription already"):
        recorded(account, lead, seats=6)
    assert Subscription.objects.get().seats == 5


def test_its_form_at_the_desk_records_what_it_says(account: Account, lead: User, sign_in: SignIn) -> None:
    client, page = sign_in(lead), f"/admin/act/record_subscription/{account.pk}/"
    form = form_on(client, page)
    day = f"{clock.now() - DAY:%Y-%m-%d}"
    filled = {**form.hidden, "plan": "pro", "interval": "12", "seats": "3", "price": "99.50", "reason": "Case 81"}
    filled |= {"starts_at_0": day, "starts_at_1": "12:00"}
    shown = client.post(form.action, filled)
    assert shown.status_code == 200
    assert "Your Pro subscription begins on" in shown.content.decode()
    assert not Subscription.objects.exists()
    assert client.post(form.action, {**filled, "confirmed": "yes"}).status_code == 302
    found = Subscription.objects.get()
    assert (found.cents, found.seats, found.interval, found.order_reference) == (9950, 3, 12, "")


def test_one_that_began_earlier_counts_its_cycles_from_there(account: Account, lead: User) -> None:
    found, _new = recorded(account, lead, starts_at=NOW - 40 * DAY)
    assert found.anchor_at == NOW - 40 * DAY
    assert found.paid_through(NOW) > NOW


def test_a_contract_ahead_is_in_its_way_and_one_that_ends_is_not(account: Account, lead: User) -> None:
    contract, _new = contracts.enter(
        account,
        plan=Plan.objects.get(code="enterprise"),
        starts_at=NOW + 30 * DAY,
        ends_at=NOW + 365 * DAY,
        seats=40,
        order_reference="SO-1",
        by=Actor.staff(lead),
        at=NOW,
    )
    with pytest.raises(recording.AnotherHolds, match=r"has a contract \(from 2026-04-16\)") as refusal:
        recorded(account, lead)
    assert refusal.value.other == contract
    assert contract.ends_at
    found, new = recorded(account, lead, starts_at=contract.ends_at)
    assert (new, found.started_at) == (True, contract.ends_at)


@pytest.mark.parametrize("channel", [Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE])
def test_what_a_marketplace_holds_is_in_its_way(account: Account, lead: User, channel: Channel) -> None:
    subscribe(account, at=NOW - DAY, channel=channel)
    with pytest.raises(recording.AnotherHolds, match=f"bought through {channel.label}"):
        recorded(account, lead)
    assert Subscription.objects.count() == 1
    assert not Notice.objects.exists()


def test_one_that_is_cancelled_is_followed_from_the_instant_of_its_end(account: Account, lead: User) -> None:
    before = subscribe(account, at=NOW - DAY)
    cancellation, _new = cancel(before, by=owner_of(before), at=NOW)
    with pytest.raises(recording.AnotherHolds):
        recorded(account, lead)
    found, new = recorded(account, lead, starts_at=cancellation.effective_at)
    assert (new, found.started_at) == (True, cancellation.effective_at)


def test_a_deletion_that_stands_comes_first_and_one_called_off_does_not(
    account: Account, owner: User, agent: User, lead: User, other_lead: User
) -> None:
    request, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    deletion.propose(request, by=Actor.staff(agent), at=NOW)
    deletion.approve(request, by=Actor.staff(lead), at=NOW)
    with pytest.raises(recording.DeletionStands, match="Call the deletion off first"):
        recorded(account, lead)
    deletion.call_off(account, by=Actor.staff(other_lead), at=NOW + DAY)
    assert recorded(account, lead, starts_at=NOW + DAY, at=NOW + DAY)[1]


def test_nothing_is_recorded_for_an_account_that_is_being_erased(account: Account, lead: User) -> None:
    Account.objects.filter(pk=account.pk).update(purging_at=NOW)
    account.refresh_from_db()
    act = act_named("record_subscription")
    assert not act.offered(account, NOW)
    with pytest.raises(Refused, match="being erased"):
        act.perform(account, values(), by=Actor.staff(lead), at=NOW)
    assert not Purge.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "change",
    [{"seats": 0}, {"cents": -1}, {"starts_at": NOW.replace(year=1999)}, {"starts_at": NOW.replace(year=2150)}],
)
def test_terms_that_cannot_be_are_refused(account: Account, lead: User, change: dict[str, Any]) -> None:
    with pytest.raises(recording.WrongPurchase):
        recorded(account, lead, **change)
    assert not Event.objects.exists()


def test_a_plan_that_is_sold_no_longer_is_not_recorded(account: Account, lead: User) -> None:
    Plan.objects.filter(code="pro").update(retired_at=NOW - DAY)
    with pytest.raises(NotSold):
        recorded(account, lead)


def test_only_staff_record_one(account: Account, owner: User) -> None:
    with pytest.raises(StaffOnly):
        recorded(account, owner)


@pytest.mark.parametrize(
    ("language", "subject"),
    [("en", "Your Pro subscription begins on March 17, 2026"), ("fr", "Votre abonnement Pro commence le 17 mars 2026")],
)
def test_the_owner_reads_of_it_in_their_language(
    account: Account, owner: User, lead: User, language: str, subject: str
) -> None:
    User.objects.filter(pk=owner.pk).update(language=language)
    recorded(account, lead, interval=Interval.ANNUAL)
    assert write(Notice.objects.get()).subject == subject
