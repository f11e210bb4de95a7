"""Holds: what is kept for now, by whom, and what a purge says about it."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.blueprints.models import Blueprint
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, StaffOnly
from accounts.erasure import runner, starting
from accounts.erasure.holds import Hold, confirm_hold, release_hold, set_hold
from accounts.erasure.runner import purge_due, take_turn
from accounts.jobs.invariants import violations
from accounts.models import Account, Certificate, Event, Purge, User
from tests.accounts.erasure.purging import MONTH, erase_all, oblige
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
REASON = "Case 12 of the district court"


@pytest.fixture
def agent(staff: User) -> Actor:
    return Actor.staff(staff)


@pytest.fixture
def lead(db: None) -> Actor:
    return Actor.staff(UserFactory(email="lead@example.com", is_staff=True))


def held(account: Account, by: Actor, until: Any = NOW + DAY) -> Hold:
    return set_hold(account, reason=REASON, until=until, at=NOW, by=by)


def test_a_purge_under_a_hold_waits_says_so_and_goes_on_when_the_hold_runs_out(account: Account, agent: Actor) -> None:
    row = oblige(account)
    held(account, agent)
    assert purge_due(NOW) == 0
    row.refresh_from_db()
    assert row.waiting_for == "a hold until March 18, 2026, 9:30 a.m. UTC"
    assert "purge-overdue" not in {v.name for v in violations(NOW + DAY)}
    assert purge_due(NOW + DAY - timedelta(seconds=1)) == 0
    assert purge_due(NOW + DAY + starting.LOOK_AGAIN) == 1


def test_a_released_hold_lets_the_purge_go_on_with_the_next_sweep(account: Account, agent: Actor) -> None:
    oblige(account)
    hold = held(account, agent)
    assert purge_due(NOW) == 0
    assert release_hold(hold, at=NOW, by=agent)
    assert not release_hold(hold, at=NOW, by=agent)
    assert purge_due(NOW) == 1
    kinds = Event.objects.filter(account_id=account.pk).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["purge.scheduled", "hold.set", "hold.released", "purge.started", "purge.verified"]


def test_a_hold_set_while_the_erasing_runs_stops_it_between_two_chunks(
    account: Account, agent: Actor, monkeypatch: Any
) -> None:
    monkeypatch.setattr(runner, "TURN", 0.0)
    Blueprint.objects.bulk_create([Blueprint(account=account, name=str(number)) for number in range(10)])
    row = oblige(account)
    Purge.objects.filter(pk=row.pk).update(chunk=4)
    # What lies outside the database comes first.
    while Blueprint.objects.count() == 10:
        assert not take_turn(row, NOW)
    assert Blueprint.objects.count() == 6
    hold = held(account, agent)
    assert purge_due(NOW) == 0
    assert Blueprint.objects.count() == 6
    row.refresh_from_db()
    assert row.waiting_for.startswith("a hold until")
    release_hold(hold, at=NOW, by=agent)
    assert purge_due(NOW) == 1
    row.refresh_from_db()
    assert row.erased()["blueprints.Blueprint"] == 10


def test_a_hold_beyond_the_deadline_takes_effect_when_a_second_person_confirms_it(
    account: Account, agent: Actor, lead: Actor
) -> None:
    oblige(account, due_at=NOW + DAY)
    hold = held(account, agent, until=NOW + MONTH + DAY)
    assert hold.needs_confirmation(NOW)
    assert not Hold.objects.active(NOW).exists()
    with pytest.raises(NeedsAnotherPerson):
        confirm_hold(hold, at=NOW, by=agent)
    assert confirm_hold(hold, at=NOW, by=lead)
    assert not confirm_hold(hold, at=NOW, by=lead)
    assert Hold.objects.active(NOW).get() == hold
    # Kept with good reason: no alarm at the deadline, and the certificate tells why it is late.
    assert purge_due(NOW + DAY) == 0
    assert "purge-deadline" not in {v.name for v in violations(NOW + MONTH)}
    assert purge_due(NOW + MONTH + DAY) == 1
    body = Certificate.objects.get().body
    assert body["deadline_met"] is False
    assert body["holds"][0]["confirmed_at"] == "2026-03-17T09:30:00+00:00"


def test_an_unconfirmed_hold_beyond_the_deadline_keeps_nothing(account: Account, agent: Actor) -> None:
    oblige(account)
    held(account, agent, until=NOW + MONTH + DAY)
    assert purge_due(NOW) == 1


def test_a_hold_up_to_the_deadline_needs_no_second_person(account: Account, agent: Actor) -> None:
    oblige(account)
    assert not held(account, agent, until=NOW + MONTH).needs_confirmation(NOW)


def test_the_reason_goes_with_the_data(account: Account, agent: Actor) -> None:
    hold = held(account, agent)
    release_hold(hold, at=NOW, by=agent)
    erase_all(account)
    hold.refresh_from_db()
    assert (hold.reason, hold.set_by) == ("", agent.user)


def test_customers_hold_nothing(account: Account, owner: User, agent: Actor) -> None:
    with pytest.raises(StaffOnly):
        held(account, Actor.owner(owner))
    hold = held(account, agent)
    with pytest.raises(StaffOnly):
        release_hold(hold, at=NOW, by=Actor.owner(owner))
    with pytest.raises(StaffOnly):
        confirm_hold(hold, at=NOW, by=Actor.staff(owner))


def test_what_is_gone_can_not_be_held(account: Account, agent: Actor) -> None:
    erase_all(account)
    with pytest.raises(Account.DoesNotExist):
        held(account, agent)
