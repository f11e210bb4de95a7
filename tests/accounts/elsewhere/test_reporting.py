"""The door at which stores report by themselves, with two keys; and what has been ordered, for their restores."""

import json
import time
import uuid
from typing import Any

import pytest
from django.test import override_settings

from accounts.elsewhere.remote_erasure import RemoteErasure, Said
from accounts.elsewhere.runner import ask_due
from accounts.erasure.runner import purge_due
from accounts.models import Account, Certificate, Event, Purge
from tests.accounts.api.calling import Caller, problem
from tests.factories import NOW
from tests.fakes.store import TestStore

pytestmark = pytest.mark.django_db


@pytest.fixture
def call() -> Caller:
    return Caller("erasures:report", name="analytics")


@pytest.fixture
def row(purge: Purge, analytics: TestStore, mailing: TestStore) -> RemoteErasure:
    """Accepted, and waiting for the store's report."""
    analytics.behaves = mailing.behaves = "by_report"
    purge_due(NOW)
    ask_due(NOW)
    return RemoteErasure.objects.get(store="analytics")


def told(call: Caller, row: RemoteErasure, sent: tuple[bytes, dict[str, str]]) -> Any:
    body, headers = sent
    return call("POST", f"erasures/{row.request}/", body, headers=headers)


def test_a_store_reports_when_it_is_done(
    call: Caller, row: RemoteErasure, account: Account, analytics: TestStore
) -> None:
    answered = told(call, row, analytics.report(row.request))
    assert answered.status_code == 200
    assert (answered.json()["store"], answered.json()["status"]) == ("analytics", "done")
    row.refresh_from_db()
    assert (row.said, row.left, row.erased, row.people) == (Said.DONE, 0, {"documents": 3}, [])
    assert analytics.left_of(account.pk) == 0
    line = Event.objects.get(account_id=account.pk, kind="elsewhere.done")
    assert (line.actor_kind, line.facts["store"]) == ("api", "analytics")


def test_what_comes_twice_changes_nothing(call: Caller, row: RemoteErasure, analytics: TestStore) -> None:
    sent = analytics.report(row.request)
    first, second = told(call, row, sent), told(call, row, sent)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert Event.objects.filter(kind="elsewhere.done").count() == 1


def test_done_with_three_left_is_not_believed(call: Caller, row: RemoteErasure, analytics: TestStore) -> None:
    for body in ({"status": "done", "left": 3}, {"status": "done"}, {"status": "skipped", "left": 0}):
        refused = told(call, row, analytics.report(row.request, **body))
        assert problem(refused) == (422, "invalid")
    row.refresh_from_db()
    assert (row.said, row.is_open) == (Said.ACCEPTED, True)


def test_a_report_for_another_stores_request_is_refused(
    call: Caller, row: RemoteErasure, analytics: TestStore, mailing: TestStore
) -> None:
    mailing.secret = "whsec_" + "QUJD" * 11
    body = json.dumps({"status": "done", "erased": {}, "left": 0}).encode()
    refused = told(call, row, (body, mailing.signed(str(row.request), body)))
    assert problem(refused) == (401, "not_signed")
    row.refresh_from_db()
    assert row.is_open


def test_a_report_for_another_request_of_the_same_store_is_refused(
    call: Caller, row: RemoteErasure, analytics: TestStore
) -> None:
    body = json.dumps({"status": "done", "erased": {}, "left": 0}).encode()
    refused = told(call, row, (body, analytics.signed(str(uuid.uuid4()), body)))
    assert problem(refused) == (401, "not_signed")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"webhook-signature": "v1,bm90IGl0"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,a,b v1a,zz \xff"},
        {"webhook-timestamp": "yesterday"},
        {"webhook-timestamp": "9" * 30},
        {"webhook-timestamp": "-1"},
    ],
)
def test_a_forged_report_is_refused(
    call: Caller, row: RemoteErasure, analytics: TestStore, changes: dict[str, str]
) -> None:
    body, headers = analytics.report(row.request)
    refused = told(call, row, (body, {**headers, **changes} if changes else {}))
    assert problem(refused) == (401, "not_signed")
    changed = told(call, row, (body.replace(b"3", b"4"), headers))
    assert problem(changed) == (401, "not_signed")


def test_an_old_report_is_refused(call: Caller, row: RemoteErasure, analytics: TestStore) -> None:
    body, _headers = analytics.report(row.request)
    for seconds in (-301, 302):
        headers = analytics.signed(str(row.request), body, at=time.time() + seconds)
        assert problem(told(call, row, (body, headers))) == (401, "not_signed")
    assert told(call, row, (body, analytics.signed(str(row.request), body, at=time.time() - 290))).status_code == 200


def test_a_report_of_nobodys_request_is_not_found(call: Caller, row: RemoteErasure, analytics: TestStore) -> None:
    unknown = uuid.uuid4()
    body = b'{"status": "done", "left": 0}'
    found = call("POST", f"erasures/{unknown}/", body, headers=analytics.signed(str(unknown), body))
    assert problem(found) == (404, "not_found")


def test_a_token_without_the_scope_reports_nothing(row: RemoteErasure, analytics: TestStore) -> None:
    sent = analytics.report(row.request)
    assert problem(told(Caller("erasures:read"), row, sent)) == (403, "missing_scope")


def test_the_purge_goes_on_when_the_last_store_has_reported(
    call: Caller, row: RemoteErasure, purge: Purge, analytics: TestStore, mailing: TestStore
) -> None:
    told(call, row, analytics.report(row.request))
    assert not Certificate.objects.exists()
    other = RemoteErasure.objects.get(store="mailing")
    told(call, other, mailing.report(other.request))
    purge.refresh_from_db()
    assert purge_due(purge.next_attempt_at) == 1
    assert {entry["how"] for entry in Certificate.objects.get().body["elsewhere"]} == {"answered"}


def test_what_has_been_ordered_is_listed_for_a_store_that_was_restored(
    row: RemoteErasure, account: Account, purge: Purge
) -> None:
    call = Caller("erasures:read", name="reader")
    listed = call.get("erasures/?since=2026-03-01T00:00:00Z").json()
    (item,) = listed["items"]
    assert (item["account"], item["external_id"], item["erased_at"]) == (str(account.pk), None, None)
    assert item["requests"][0] == {"store": "analytics", "request": str(row.request), "done_at": None}
    assert call.get("erasures/?since=2026-03-18T00:00:00Z").json() == {"items": [], "next": None}
    assert problem(call.get("erasures/?since=yesterday")) == (422, "invalid")


def test_the_vendors_own_id_is_kept_only_where_the_settings_say_so(purge: Purge, analytics: TestStore) -> None:
    with override_settings(ERASURE_LOG_EXTERNAL_IDS=True):
        purge_due(NOW)
    (item,) = Caller("erasures:read").get("erasures/").json()["items"]
    assert item["external_id"] == "harbour-7"
