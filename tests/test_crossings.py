"""Two things at once: a hold or a refund beside people, imports and new prices; Redis away meanwhile."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.core.cache.backends.locmem import LocMemCache
from django.test import Client
from pytest_django import Settings

from accounts.customers.history import Actor
from accounts.erasure.holds import Hold, set_hold
from accounts.erasure.runner import purge_due
from accounts.models import Account, Certificate, Membership, Notice, Role, User
from accounts.people import inviting, joining
from accounts.people.invitation import Invitation
from accounts.signing_in.addresses import note_proven
from accounts.support import ownership
from config.cache import Cache
from subscriptions import catalogue
from subscriptions.models import Ends, Interval, Plan, Refund, Repricing, Subscription
from subscriptions.pricing.repricing import price_at, reprice_due
from subscriptions.refunds import decisions
from subscriptions.refunds.paying import carry_out_due, say_paid
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, PASSWORD, UserFactory, subscribe
from tests.pages import press
from tests.subscriptions.imports.importing import json_lines, row, run

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
PEOPLE = "/user/people/"
#: Subscriptions of these tests begin at `NOW`, 17 March 2026, 09:30.
MAY = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)


def held(account: Account, by: User, until: datetime = NOW + 10 * DAY) -> Hold:
    return set_hold(account, reason="Case 12", until=until, at=NOW, by=Actor.staff(by))


def invited(account: Account, email: str = "nora@new.example") -> Invitation:
    owner = account.owner()
    assert owner is not None
    return inviting.invite(account, email=email, role=Role.USER, by=Actor.owner(owner), at=NOW)[0]


def dearer(*, at: datetime = NOW + DAY) -> None:
    """From 20 April on, so from the cycle of May; owners are told 30 days before."""
    catalogue.set_price(
        Plan.objects.get(code="pro"),
        interval=Interval.MONTHLY,
        currency="USD",
        cents=5900,
        from_at=NOW + 34 * DAY,
        notice=timedelta(days=30),
        at=at,
    )


def refunded(subscription: Subscription, by: User, *, ends: Ends = Ends.NOW, at: datetime = NOW + DAY) -> Refund:
    refund, _new = decisions.propose(
        subscription, cents=4900, currency="USD", ends=ends, payment_reference="ch_1", by=Actor.staff(by), at=at
    )
    assert decisions.approve(refund, by=Actor.staff(by), at=at)
    return refund


@pytest.fixture
def redis_is_away(settings: Settings) -> Iterator[None]:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    LocMemCache("while Redis is away", {}).clear()
    yield
    Cache._away_until = 0.0


# A hold.


def test_an_account_that_is_held_still_takes_people_in_and_they_go_with_it(account: Account, lead: User) -> None:
    oblige(account)
    held(account, lead)
    newcomer = joining.join_as_newcomer(invited(account), name="Nora", password=PASSWORD, at=NOW).user
    waiting = invited(account, "late@new.example")
    assert purge_due(NOW) == 0
    assert Membership.objects.filter(account=account, user=newcomer).exists()
    assert purge_due(NOW + 11 * DAY) == 1
    assert not Account.objects.filter(pk=account.pk).exists()
    assert not User.objects.filter(pk=newcomer.pk).exists()
    assert not Invitation.objects.filter(pk=waiting.pk).exists()
    assert Certificate.objects.filter(account_id=account.pk).count() == 1


def test_a_hold_outlasts_a_change_of_owner_and_so_does_the_erasing(account: Account, member: User, lead: User) -> None:
    oblige(account)
    hold = held(account, lead)
    note_proven(member)
    owner = account.owner()
    assert owner is not None
    assert ownership.hand_over(account, to=member, stays=False, by=Actor.staff(lead), at=NOW)
    hold.refresh_from_db()
    assert (hold.released_at, purge_due(NOW)) == (None, 0)
    assert purge_due(NOW + 11 * DAY) == 1
    assert not Account.objects.filter(pk=account.pk).exists()
    assert not User.objects.filter(pk=member.pk).exists()
    # Who had left it before was no part of it any more.
    assert User.objects.filter(pk=owner.pk).exists()


def test_an_import_adds_nothing_to_a_held_account_that_is_to_be_erased(lead: User, tmp_path: Path) -> None:
    with time_machine.travel(NOW, tick=False):
        run(json_lines(tmp_path / "a.jsonl", [row(1)]))
        account = Account.objects.get()
        oblige(account)
        held(account, lead)
        again = run(json_lines(tmp_path / "b.jsonl", [row(1, members=[{"email": "new@harbour.example"}]), row(2)]))
    assert again.outcomes == ["refused", "created"]
    assert not User.objects.filter(email="new@harbour.example").exists()
    assert Hold.objects.filter(account_id=account.pk, released_at=None).count() == 1


def test_an_import_goes_on_beside_a_hold_of_an_account_that_stays(lead: User, tmp_path: Path) -> None:
    with time_machine.travel(NOW, tick=False):
        run(json_lines(tmp_path / "a.jsonl", [row(1)]))
        account = Account.objects.get()
        held(account, lead)
        again = run(json_lines(tmp_path / "b.jsonl", [row(1, members=[{"email": "new@harbour.example"}])]))
    assert again.code == 0
    assert account.memberships.filter(user__email="new@harbour.example").exists()


def test_a_new_price_is_told_and_paid_though_the_data_is_held(account: Account, lead: User) -> None:
    subscription = subscribe(account)
    dearer()
    held(account, lead, until=MAY + 30 * DAY)
    reprice_due(MAY - 30 * DAY)
    assert Notice.objects.filter(kind="subscriptions/price_changes").count() == 1
    reprice_due(MAY)
    subscription.refresh_from_db()
    assert subscription.cents == 5900


# A refund.


def test_who_is_refunded_and_ends_is_told_of_no_new_price(account: Account, lead: User) -> None:
    subscription = subscribe(account)
    refund = refunded(subscription, lead)
    assert say_paid(refund, payment_reference="re_1", by=Actor.staff(lead), at=NOW + DAY)
    assert carry_out_due(NOW + DAY) == 1
    dearer(at=NOW + 2 * DAY)
    for at in (NOW + 2 * DAY, MAY - 30 * DAY, MAY):
        reprice_due(at)
    assert not Notice.objects.filter(kind="subscriptions/price_changes").exists()
    subscription.refresh_from_db()
    assert (subscription.cents, subscription.ends_at) == (4900, NOW + DAY)


def test_a_price_that_was_told_is_not_paid_by_who_is_refunded_then(account: Account, lead: User, owner: User) -> None:
    subscription = subscribe(account)
    dearer()
    told_at = MAY - 30 * DAY
    reprice_due(told_at)
    refund, _new = decisions.propose(
        subscription,
        cents=4900,
        currency="USD",
        ends=Ends.NOW,
        payment_reference="ch_1",
        by=Actor.staff(UserFactory(email="agent@example.net", is_staff=True)),
        at=told_at + DAY,
    )
    # Beyond 30 days of the first payment it takes two.
    assert decisions.approve(refund, by=Actor.staff(lead), at=told_at + DAY)
    # What was paid before costs what it cost then.
    assert (refund.paid_cents, price_at(subscription, told_at + DAY)) == (9800, 4900)
    assert say_paid(refund, payment_reference="re_1", by=Actor.staff(lead), at=told_at + DAY)
    assert carry_out_due(told_at + DAY) == 1
    reprice_due(MAY)
    row_of = Repricing.objects.get()
    assert (row_of.carried_out_at, row_of.dropped_at is not None) == (None, True)
    subscription.refresh_from_db()
    assert subscription.cents == 4900


def test_an_import_puts_nothing_back_that_a_refund_has_ended(lead: User, tmp_path: Path) -> None:
    file = json_lines(tmp_path / "a.jsonl", [row(1, subscription={"started_at": "2026-03-17T09:30:00Z"})])
    with time_machine.travel(NOW, tick=False):
        run(file)
    subscription = Subscription.objects.get()
    refund = refunded(subscription, lead)
    with time_machine.travel(NOW + DAY, tick=False):
        # Between approval and payment, and after both.
        assert run(file).outcomes == ["unchanged"]
        say_paid(refund, payment_reference="re_1", by=Actor.staff(lead), at=NOW + DAY)
        carry_out_due(NOW + DAY)
        assert run(file).outcomes == ["unchanged"]
    subscription.refresh_from_db()
    refund.refresh_from_db()
    assert (subscription.ends_at, refund.paid_at) == (NOW + DAY, NOW + DAY)
    assert Subscription.objects.count() == 1


# Redis is away.


@pytest.mark.usefixtures("redis_is_away")
def test_without_redis_people_are_invited_join_change_role_and_are_removed(
    account: Account, owner: User, settings: Settings
) -> None:
    client = Client()
    client.post("/auth/login/", {"login": owner.email, "password": PASSWORD})
    assert press(client, PEOPLE, f"{PEOPLE}invitations/", email="nora@new.example", role="user").status_code == 302
    nora = joining.join_as_newcomer(
        Invitation.objects.get(),
        name="Nora",
        password=PASSWORD,
        at=Invitation.objects.get().invited_at,
    ).user
    assert press(client, PEOPLE, f"{PEOPLE}members/{nora.pk}/role/", role="admin").status_code == 302
    assert account.memberships.get(user=nora).role == Role.ADMIN
    assert press(client, PEOPLE, f"{PEOPLE}members/{nora.pk}/remove/").status_code == 302
    assert not account.memberships.filter(user=nora).exists()
    # The mails wait in the database.
    kinds = Notice.objects.filter(sent_at=None).values_list("kind", flat=True)
    assert sorted(kinds) == ["accounts/invitation", "accounts/member_removed"]


@pytest.mark.usefixtures("redis_is_away")
def test_without_redis_a_new_price_is_told_and_paid_once(account: Account) -> None:
    subscription = subscribe(account)
    dearer()
    for at in (MAY - 30 * DAY, MAY - 30 * DAY, MAY, MAY):
        reprice_due(at)
    subscription.refresh_from_db()
    assert (subscription.cents, Notice.objects.filter(kind="subscriptions/price_changes").count()) == (5900, 1)
