"""Stores elsewhere are asked once the erasing has begun, and asked after until nothing is left there."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from accounts.elsewhere.remote_erasure import How, RemoteErasure, Said
from accounts.elsewhere.runner import ask_due
from accounts.elsewhere.store import RemoteStore
from accounts.erasure.runner import purge_due
from accounts.jobs.invariants import violations, warnings
from accounts.models import Account, Certificate, Event, Membership, Purge, Role, User
from tests.accounts.erasure.purging import HOUR, MONTH, oblige
from tests.factories import NOW, AccountFactory, UserFactory
from tests.fakes.store import TestStore

pytestmark = pytest.mark.django_db
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def row_of(store: TestStore) -> RemoteErasure:
    return RemoteErasure.objects.get(store=store.name)


def red(at: Any) -> set[str]:
    return {violation.name for violation in violations(at)}


def test_nothing_is_asked_before_the_erasing_has_begun(purge: Purge, analytics: TestStore) -> None:
    ask_due(NOW)
    assert not RemoteErasure.objects.exists()
    assert analytics.posts() == []


def test_what_stores_hold_is_gone_when_the_certificate_says_so(
    purge: Purge, account: Account, owner: User, analytics: TestStore, mailing: TestStore
) -> None:
    assert purge_due(NOW) == 0
    assert not Account.objects.filter(pk=account.pk).exists()
    assert not Certificate.objects.exists()
    assert ask_due(NOW + MINUTE) == 2
    assert [store.left_of(account.pk) for store in (analytics, mailing)] == [0, 0]
    assert [store.left_of("another") for store in (analytics, mailing)] == [1, 1]
    # What it waits for has come: it goes on at once.
    assert purge_due(NOW + MINUTE) == 1
    body = Certificate.objects.get().body
    first, second = body["elsewhere"]
    row = row_of(analytics)
    assert first == {
        "store": "analytics",
        "request": str(row.request),
        "version": "3.1",
        "how": "answered",
        "asked_at": "2026-03-17T09:31:00+00:00",
        "accepted_at": "2026-03-17T09:31:00+00:00",
        "promised_by": "2026-03-24T09:31:00+00:00",
        "done_at": "2026-03-17T09:31:00+00:00",
        "deadline_met": True,
        "replay_of": None,
        "erased": {"documents": 3},
        "left": 0,
        "kept": [],
        "proof": f"job {str(row.request)[:8]}",
    }
    assert second["store"] == "mailing"
    assert (body["deadline_met"], body["deadline_met_here"], body["deadline_met_elsewhere"]) == (True, True, True)
    assert Event.objects.filter(account_id=account.pk, kind="elsewhere.done").count() == 2


def test_a_store_is_told_ids_and_nothing_else_and_they_are_forgotten_when_it_is_done(
    purge: Purge, account: Account, owner: User, analytics: TestStore
) -> None:
    colleague = UserFactory(external_id="u-9")
    Membership.objects.create(account=account, user=colleague, role=Role.USER)
    # Who belongs to another account stays, and so does what is theirs elsewhere.
    AccountFactory(owner=colleague)
    purge_due(NOW)
    row = row_of(analytics)
    assert (row.external_id, row.people) == ("harbour-7", [{"id": owner.pk, "external_id": "u-7"}])
    ask_due(NOW)
    (asked,) = analytics.requests.values()
    assert asked.message == {
        "type": "erasure.requested",
        "timestamp": "2026-03-17T09:30:00Z",
        "data": {
            "request": str(row.request),
            "account": str(account.pk),
            "external_id": "harbour-7",
            "cause": "marketplace_cancellation",
            "people": [{"id": owner.pk, "external_id": "u-7"}],
            "deadline_at": "2026-04-16T09:30:00Z",
            "replay_of": None,
            "attempt": 1,
        },
    }
    row.refresh_from_db()
    assert (row.external_id, row.people) == ("", [])


def test_accepted_is_not_erased_and_is_asked_after_until_it_is(
    purge: Purge, account: Account, analytics: TestStore
) -> None:
    analytics.behaves = "later"
    purge_due(NOW)
    ask_due(NOW)
    row = row_of(analytics)
    assert (row.said, row.next_attempt_at, row.is_open) == (Said.ACCEPTED, NOW + MINUTE, True)
    assert ask_due(NOW + MINUTE) == 0
    row.refresh_from_db()
    assert (row.said, row.next_attempt_at) == (Said.IN_PROGRESS, NOW + 3 * MINUTE)
    assert not Certificate.objects.exists()
    assert ask_due(NOW + 3 * MINUTE) == 1
    assert purge_due(NOW + 3 * MINUTE) == 1
    assert [method for method, path, _at in analytics.calls if not path.endswith("discovery")] == ["POST", "GET", "GET"]
    assert analytics.left_of(account.pk) == 0


def test_a_store_that_does_not_get_on_is_asked_after_every_hour_at_most(purge: Purge, analytics: TestStore) -> None:
    analytics.behaves = "by_report"
    purge_due(NOW)
    at, waits = NOW, []
    for _time in range(9):
        ask_due(at)
        following = row_of(analytics).next_attempt_at
        waits.append(int((following - at) / MINUTE))
        at = following
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("behaves", "why"),
    [
        ("says_done_without_left", "it said done without saying what is left: that is not done"),
        ("says_done_with_three_left", "it said done with 3 left: that is not done"),
        ("says_not_found", "it answered 404: is the address right? That does not mean that nothing is there"),
        ("says_gone", "it answered 410. If it is gone for good"),
        ("says_skipped", "it answered with a word that means nothing here"),
        ("says_ok", "it answered 200 without JSON"),
        ("redirects", "it answered 302: redirects are not followed"),
        ("huge", "its answer is too long"),
        ("busy", "it answered 429"),
        ("fails", "it answered 500"),
        ("vanishes", "the store does not answer"),
        ("slow", "the store takes too long to answer"),
    ],
)
def test_what_says_nothing_of_the_data_is_no_answer(
    purge: Purge, stores: list[RemoteStore], analytics: TestStore, behaves: str, why: str
) -> None:
    analytics.behaves = behaves
    with override_settings(REMOTE_STORES=[replace(stores[0], timeout=0.3), stores[1]]):
        purge_due(NOW)
        assert ask_due(NOW) == 1
        assert purge_due(NOW) == 0
    row = row_of(analytics)
    assert row.last_error.startswith(why)
    assert (row.is_open, row.attempts) == (True, 1)
    assert row.next_attempt_at == NOW + (2 * MINUTE if behaves == "busy" else MINUTE)
    assert not Certificate.objects.exists()


def test_a_store_that_can_not_be_asked_as_it_is_configured_is_red_after_an_hour(
    purge: Purge, analytics: TestStore
) -> None:
    analytics.secret = analytics.secret.replace("Y", "Z", 1)
    purge_due(NOW)
    ask_due(NOW)
    assert row_of(analytics).last_error == "it answered 401: is the secret right?"
    assert "purge-remote-open" not in red(NOW + HOUR - MINUTE)
    assert "purge-remote-open" in red(NOW + HOUR)


def test_a_store_that_refuses_is_asked_no_more_and_is_red_at_once(
    purge: Purge, account: Account, analytics: TestStore
) -> None:
    analytics.behaves = "refuses"
    purge_due(NOW)
    ask_due(NOW)
    ask_due(NOW + DAY)
    row = row_of(analytics)
    assert (row.said, row.reason, row.ground) == (Said.REFUSED, "legal_hold", "a lawsuit is under way")
    assert len(analytics.posts()) == 1
    assert "purge-remote-open" in red(NOW)
    assert not Certificate.objects.exists()
    assert Event.objects.filter(account_id=account.pk, kind="elsewhere.refused").count() == 1


def test_a_store_that_is_stuck_with_a_rest_is_red_after_a_day(purge: Purge, analytics: TestStore) -> None:
    analytics.behaves = "partly"
    purge_due(NOW)
    for hour in range(3):
        ask_due(NOW + hour * HOUR)
    row = row_of(analytics)
    assert (row.said, row.left, row.erased) == (Said.PARTLY, 1, {"documents": 2})
    assert "purge-remote-open" not in red(NOW + DAY - MINUTE)
    assert "purge-remote-open" in red(NOW + DAY)
    analytics.behaves = "at_once"
    ask_due(NOW + DAY)
    row.refresh_from_db()
    assert (row.how, row.left, row.erased) == (How.ANSWERED, 0, {"documents": 3})


def test_a_store_is_red_before_the_day_that_it_has_promised(purge: Purge, analytics: TestStore) -> None:
    analytics.behaves = "by_report"
    purge_due(NOW)
    ask_due(NOW)
    assert "purge-remote-open" not in red(NOW + 6 * DAY - MINUTE)
    assert "purge-remote-open" in red(NOW + 6 * DAY)


def test_a_store_that_has_forgotten_what_it_accepted_is_asked_anew(purge: Purge, analytics: TestStore) -> None:
    analytics.behaves = "later"
    purge_due(NOW)
    ask_due(NOW)
    analytics.requests.clear()
    ask_due(NOW + MINUTE)
    assert row_of(analytics).last_error.startswith("it answered 404")
    analytics.behaves = "at_once"
    assert ask_due(NOW + 2 * MINUTE) == 1
    assert len(analytics.posts()) == 2


def test_what_was_erased_without_our_hearing_of_it_is_asked_again_by_the_same_id(
    purge: Purge, account: Account, analytics: TestStore
) -> None:
    analytics.behaves = "erases_and_vanishes"
    purge_due(NOW)
    ask_due(NOW)
    assert analytics.left_of(account.pk) == 0
    analytics.behaves = "at_once"
    assert ask_due(NOW + MINUTE) == 1
    assert list(analytics.requests) == [str(row_of(analytics).request)]
    # The store has counted it once, and says so again.
    assert row_of(analytics).erased == {"documents": 3}


def test_a_request_that_is_running_is_as_good_as_accepted(purge: Purge, analytics: TestStore) -> None:
    analytics.behaves = "running"
    purge_due(NOW)
    ask_due(NOW)
    assert row_of(analytics).said == Said.ACCEPTED
    assert ask_due(NOW + MINUTE) == 1


def test_proof_with_markup_is_kept_as_plain_text(purge: Purge, analytics: TestStore) -> None:
    analytics.behaves = "with_markup"
    purge_due(NOW)
    ask_due(NOW)
    proof = row_of(analytics).proof
    assert proof.startswith("script alert(1) /script b case /b 12")
    assert len(proof) == 500


def test_what_a_store_keeps_stands_on_the_certificate_with_its_ground(purge: Purge, analytics: TestStore) -> None:
    analytics.behaves = "keeps"
    purge_due(NOW)
    ask_due(NOW)
    purge_due(NOW)
    kept = {"what": "invoices", "reason": "tax law", "ground": "§ 147 AO", "until": "2036-12-31"}
    assert Certificate.objects.get().body["elsewhere"][0]["kept"] == [kept]


def test_a_store_that_promises_longer_than_the_deadline_meets_it_if_it_had_accepted_in_time(
    purge: Purge, stores: list[RemoteStore], analytics: TestStore
) -> None:
    analytics.behaves = "by_report"
    with override_settings(REMOTE_STORES=[replace(stores[0], promised_days=90), stores[1]]):
        purge_due(NOW)
        ask_due(NOW)
        assert not {"purge-remote-open", "purge-deadline", "purge-overdue"} & red(NOW + MONTH + DAY)
        analytics.behaves = "at_once"
        ask_due(NOW + 80 * DAY)
        purge_due(NOW + 80 * DAY)
    body = Certificate.objects.get().body
    assert (body["deadline_met_here"], body["deadline_met_elsewhere"]) == (True, True)
    assert body["elsewhere"][0]["promised_by"] == "2026-06-15T09:30:00+00:00"
    assert body["elsewhere"][0]["done_at"] == "2026-06-05T09:30:00+00:00"


def test_a_store_that_breaks_its_promise_has_missed_the_deadline(purge: Purge, analytics: TestStore) -> None:
    analytics.behaves = "by_report"
    purge_due(NOW)
    ask_due(NOW)
    analytics.behaves = "at_once"
    ask_due(NOW + MONTH + DAY)
    purge_due(NOW + MONTH + DAY)
    body = Certificate.objects.get().body
    assert (body["deadline_met"], body["deadline_met_here"], body["deadline_met_elsewhere"]) == (False, True, False)


def test_a_silent_store_is_left_alone_for_a_minute_and_holds_up_no_other(
    purge: Purge, analytics: TestStore, mailing: TestStore
) -> None:
    analytics.behaves = "vanishes"
    for _number in range(3):
        oblige(AccountFactory())
    purge_due(NOW)
    assert ask_due(NOW) == 4
    assert (len(analytics.posts()), len(mailing.posts())) == (1, 4)
    ask_due(NOW + timedelta(seconds=59))
    assert len(analytics.posts()) == 1
    analytics.behaves = "at_once"
    assert ask_due(NOW + MINUTE) == 4


def test_a_row_that_can_not_be_written_is_in_nobodys_way_and_is_named_by_doctor(
    purge: Purge, analytics: TestStore, mailing: TestStore
) -> None:
    purge_due(NOW)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.store = 'analytics' AND NEW.done_at IS NOT NULL THEN "
            "RAISE EXCEPTION 'poison' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$; "
            "CREATE TRIGGER zz_poison BEFORE UPDATE ON accounts_remoteerasure "
            "FOR EACH ROW EXECUTE FUNCTION poison()"
        )
    assert ask_due(NOW) == 1
    row = row_of(analytics)
    assert (row.last_error, row.attempts, row.is_open) == ("CheckViolation: poison", 1, True)
    assert not row_of(mailing).is_open
    assert "purge-remote-open" in red(NOW + 7 * DAY)


def test_a_store_that_is_configured_no_more_waits_for_people(
    purge: Purge, stores: list[RemoteStore], analytics: TestStore
) -> None:
    purge_due(NOW)
    with override_settings(REMOTE_STORES=stores[1:]):
        ask_due(NOW)
        row = row_of(analytics)
        assert "configured no more" in row.last_error
        assert analytics.posts() == []
        assert "purge-remote-open" in red(NOW + HOUR)


def test_a_store_that_does_not_say_what_it_is_is_a_warning_and_no_crash(purge: Purge, analytics: TestStore) -> None:
    analytics.describes = False
    purge_due(NOW)
    assert ask_due(NOW) == 2
    assert {warning.name for warning in warnings(NOW)} >= {"store-discovery"}
    analytics.describes = True
    ask_due(NOW + 10 * MINUTE)
    assert "store-discovery" not in {warning.name for warning in warnings(NOW)}


def test_a_store_that_takes_longer_than_it_is_configured_to_is_a_warning(
    stores: list[RemoteStore], analytics: TestStore
) -> None:
    with override_settings(REMOTE_STORES=[replace(stores[0], promised_days=2)]):
        ask_due(NOW)
    (warning,) = [warning for warning in warnings(NOW) if warning.name == "store-discovery"]
    assert warning.examples == ["analytics"]


def test_an_old_or_unsigned_request_would_be_refused_by_the_store(purge: Purge, analytics: TestStore) -> None:
    purge_due(NOW)
    ask_due(NOW)
    # Ours are signed by the clock on the wall, whatever instant the sweep is run for.
    assert analytics.forged == 0


def test_a_store_that_comes_before_ours_is_waited_for_until_half_of_the_time_is_over(
    purge: Purge, account: Account, stores: list[RemoteStore], analytics: TestStore
) -> None:
    analytics.behaves = "by_report"
    with override_settings(REMOTE_STORES=[replace(stores[0], before_ours=True), stores[1]]):
        purge_due(NOW)
        purge.refresh_from_db()
        assert purge.started_at is not None
        assert purge.waiting_for == "the store elsewhere analytics, which comes before ours"
        ask_due(NOW)
        assert purge_due(NOW + 15 * DAY - MINUTE) == 0
        assert Account.objects.filter(pk=account.pk).exists()
        purge_due(NOW + 15 * DAY + 10 * MINUTE)
        assert not Account.objects.filter(pk=account.pk).exists()


def test_a_store_that_comes_before_ours_lets_the_erasing_here_go_on_at_once_when_it_is_done(
    purge: Purge, account: Account, stores: list[RemoteStore], analytics: TestStore
) -> None:
    with override_settings(REMOTE_STORES=[replace(stores[0], before_ours=True), stores[1]]):
        purge_due(NOW)
        assert Account.objects.filter(pk=account.pk).exists()
        ask_due(NOW + MINUTE)
        assert purge_due(NOW + MINUTE) == 1


def test_a_store_that_comes_before_ours_and_refuses_holds_up_nothing(
    purge: Purge, account: Account, stores: list[RemoteStore], analytics: TestStore
) -> None:
    analytics.behaves = "refuses"
    with override_settings(REMOTE_STORES=[replace(stores[0], before_ours=True), stores[1]]):
        purge_due(NOW)
        ask_due(NOW)
        purge_due(NOW)
    assert not Account.objects.filter(pk=account.pk).exists()
    assert not Certificate.objects.exists()
