"""A hold while stores are at work: nothing more is sent, what is only accepted is recalled once, in no silence."""

from datetime import timedelta

import pytest

from accounts.customers.history import Actor
from accounts.elsewhere.remote_erasure import RemoteErasure, Said
from accounts.elsewhere.runner import ask_due
from accounts.erasure.holds import release_hold, set_hold
from accounts.erasure.runner import purge_due
from accounts.erasure.starting import start
from accounts.models import Account, Certificate, Event, Hold, Purge, User
from tests.factories import NOW
from tests.fakes.store import TestStore

pytestmark = pytest.mark.django_db
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def by(lead: User) -> Actor:
    return Actor.staff(lead)


def held(account: Account, by: Actor, at: object = NOW) -> Hold:
    return set_hold(account, reason="a lawsuit", until=NOW + DAY, at=NOW, by=by)


def test_nothing_is_sent_while_the_data_is_held(
    purge: Purge, account: Account, by: Actor, analytics: TestStore, mailing: TestStore
) -> None:
    start(purge, at=NOW)
    hold = held(account, by)
    ask_due(NOW)
    assert analytics.posts() == mailing.posts() == []
    release_hold(hold, at=NOW + MINUTE, by=by)
    assert ask_due(NOW + MINUTE) == 2
    hold.refresh_from_db()
    assert hold.elsewhere == []


def test_what_is_only_accepted_is_recalled_and_asked_by_a_new_request_afterwards(
    purge: Purge, account: Account, by: Actor, analytics: TestStore
) -> None:
    analytics.behaves = "by_report"
    start(purge, at=NOW)
    ask_due(NOW)
    before = RemoteErasure.objects.get(store="analytics").request
    hold = held(account, by)
    ask_due(NOW)
    hold.refresh_from_db()
    entry = {"store": "analytics", "request": str(before), "said": "accepted", "recalled": True}
    assert hold.elsewhere == [entry]
    row = RemoteErasure.objects.get(store="analytics")
    assert (row.said, row.asked_at) == (Said.NOTHING, None)
    assert row.request != before
    assert Event.objects.filter(kind="elsewhere.recalled").count() == 1
    ask_due(NOW + MINUTE)
    assert len(analytics.posts()) == 1
    analytics.behaves = "at_once"
    release_hold(hold, at=NOW + 2 * MINUTE, by=by)
    assert ask_due(NOW + 2 * MINUTE) == 1
    assert analytics.left_of(account.pk) == 0


def test_what_can_not_be_recalled_stands_on_the_hold_and_is_seen_through(
    purge: Purge, account: Account, by: Actor, analytics: TestStore
) -> None:
    analytics.behaves, analytics.forgets = "by_report", False
    start(purge, at=NOW)
    ask_due(NOW)
    row = RemoteErasure.objects.get(store="analytics")
    hold = held(account, by)
    ask_due(NOW)
    ask_due(NOW + 5 * MINUTE)
    hold.refresh_from_db()
    assert [(entry["request"], entry["recalled"]) for entry in hold.elsewhere] == [(str(row.request), False)]
    # Once, and then it is asked after: what it does can't be undone, and is to be known.
    methods = [method for method, path, _at in analytics.calls if not path.endswith("discovery")]
    assert (methods.count("DELETE"), methods.count("POST")) == (1, 1)
    assert "GET" in methods
    assert Event.objects.filter(kind="elsewhere.not_recalled").count() == 1
    assert purge_due(NOW + 5 * MINUTE) == 0
    assert Account.objects.filter(pk=account.pk).exists()


def test_a_store_that_has_begun_is_not_recalled(
    purge: Purge, account: Account, by: Actor, analytics: TestStore
) -> None:
    analytics.behaves = "by_report"
    start(purge, at=NOW)
    ask_due(NOW)
    ask_due(NOW + MINUTE)
    hold = held(account, by)
    ask_due(NOW + 2 * MINUTE)
    hold.refresh_from_db()
    assert [(entry["said"], entry["recalled"]) for entry in hold.elsewhere] == [("in_progress", False)]
    assert "DELETE" not in [method for method, _path, _at in analytics.calls]


def test_a_store_that_was_asked_and_did_not_answer_is_recalled_too(
    purge: Purge, account: Account, by: Actor, analytics: TestStore
) -> None:
    analytics.behaves = "erases_and_vanishes"
    start(purge, at=NOW)
    ask_due(NOW)
    hold = held(account, by)
    ask_due(NOW + 2 * MINUTE)
    hold.refresh_from_db()
    assert [entry["recalled"] for entry in hold.elsewhere] == [False]
    assert len(analytics.posts()) == 1


def test_a_hold_once_all_is_erased_here_stops_the_certificate_and_no_question(
    purge: Purge, account: Account, by: Actor, analytics: TestStore
) -> None:
    analytics.behaves = "by_report"
    start(purge, at=NOW)
    held(account, by)
    purge_due(NOW)
    assert not Certificate.objects.exists()
