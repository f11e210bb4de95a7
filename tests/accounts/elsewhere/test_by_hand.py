"""A store that does not answer is closed by two members of staff; the account's page says how each store stands."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, StaffOnly
from accounts.elsewhere import by_hand
from accounts.elsewhere.by_hand import AlreadyDone
from accounts.elsewhere.remote_erasure import How, RemoteErasure, Said
from accounts.elsewhere.runner import ask_due
from accounts.erasure.runner import purge_due
from accounts.models import Account, Certificate, Event, Purge, StaffAction, User
from tests.factories import NOW
from tests.fakes.store import TestStore

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def row(purge: Purge, analytics: TestStore) -> RemoteErasure:
    """It has refused."""
    analytics.behaves = "refuses"
    purge_due(NOW)
    ask_due(NOW)
    return RemoteErasure.objects.get(store="analytics")


def stated(row: RemoteErasure, lead: User) -> bool:
    return by_hand.state(row, case_number=" T-12 ", at=NOW + DAY, by=Actor.staff(lead))


def test_it_takes_two_and_the_certificate_says_that_people_have_stated_it(
    row: RemoteErasure, purge: Purge, lead: User, other_lead: User
) -> None:
    assert stated(row, lead)
    assert not stated(row, lead)
    with pytest.raises(NeedsAnotherPerson):
        by_hand.approve(row, at=NOW + DAY, by=Actor.staff(lead))
    assert purge_due(NOW + DAY) == 0
    assert by_hand.approve(row, at=NOW + 2 * DAY, by=Actor.staff(other_lead))
    assert purge_due(NOW + 2 * DAY) == 1
    (entry, _mailing) = Certificate.objects.get().body["elsewhere"]
    assert (entry["store"], entry["how"]) == ("analytics", "by_hand")
    assert entry["stated_by_staff"] == {
        "case_number": "T-12",
        "stated_by": lead.pk,
        "stated_at": "2026-03-18T09:30:00+00:00",
        "approved_by": other_lead.pk,
        "approved_at": "2026-03-19T09:30:00+00:00",
    }
    # Never beside counts: no machine has counted anything.
    assert not {"erased", "left", "kept", "proof"} & set(entry)
    row.refresh_from_db()
    assert (row.how, row.external_id, row.people) == (How.BY_HAND, "", [])


def test_what_was_stated_can_be_taken_back_and_does_not_stop_an_answer(
    row: RemoteErasure, lead: User, other_lead: User, analytics: TestStore
) -> None:
    stated(row, lead)
    assert by_hand.take_back(row, at=NOW + DAY, by=Actor.staff(other_lead))
    assert not by_hand.approve(row, at=NOW + DAY, by=Actor.staff(other_lead))
    stated(row, lead)
    analytics.behaves = "at_once"
    by_hand.ask_again(row, at=NOW + DAY, by=Actor.staff(lead))
    assert ask_due(NOW + DAY) == 1
    with pytest.raises(AlreadyDone):
        by_hand.approve(row, at=NOW + DAY, by=Actor.staff(other_lead))
    row.refresh_from_db()
    assert (row.how, row.said) == (How.ANSWERED, Said.DONE)
    assert len(analytics.requests) == 1


def test_only_staff_state_anything(row: RemoteErasure, owner: User) -> None:
    for by in (Actor.system(), Actor.api(1)):
        with pytest.raises(StaffOnly):
            by_hand.state(row, case_number="T-12", at=NOW, by=by)


def test_a_lead_states_and_another_approves_on_the_accounts_page(
    row: RemoteErasure, account: Account, lead: User, other_lead: User, agent: User, sign_in: Any
) -> None:
    page = sign_in(lead).get(f"/admin/accounts/account/{account.pk}/change/").content.decode()
    assert "legal_hold" in page
    assert "Settle it with whoever runs the store." in page
    act = f"/admin/act/{{}}/{row.pk}/"
    fields = {"reason": "told by telephone", "case_number": "T-12", "confirmed": "yes"}
    first = sign_in(lead).get(act.format("state_store"))
    assert first.status_code == 200
    assert sign_in(agent).get(act.format("state_store")).status_code == 403
    sign_in(lead).post(act.format("state_store"), fields)
    assert Event.objects.filter(account_id=account.pk, kind="elsewhere.stated").exists()
    page = sign_in(other_lead).get(f"/admin/accounts/account/{account.pk}/change/").content.decode()
    assert "Have somebody else approve the statement" in page
    sign_in(other_lead).post(act.format("approve_store"), fields)
    row.refresh_from_db()
    assert row.how == How.BY_HAND
    # Why they did so is told of an account that is gone: it goes, too, and is nothing that was left behind.
    assert purge_due(clock.now()) == 1
    purge = Purge.objects.get()
    assert (purge.left_behind_at, purge.last_error) == (None, "")
    assert not StaffAction.objects.exclude(reason="").exists()
