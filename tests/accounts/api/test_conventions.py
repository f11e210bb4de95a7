"""What all doors have in common: keys of repeated calls, limits, bodies, and refusals that say nothing back."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client, override_settings
from pytest_django import DjangoAssertNumQueries

from accounts.api import calls, idempotency
from accounts.api.idempotency import ApiCall
from accounts.core import clock, locks
from accounts.core.locks import Lock
from accounts.models import Account, Event, Notice
from subscriptions.models import Subscription
from tests.accounts.api.calling import HARBOUR, ROOT, Caller, pointers, problem
from tests.accounts.erasure.purging import erase_all
from tests.factories import NOW, subscribe

pytestmark = pytest.mark.django_db
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
PRO = {"plan": "pro", "interval": "monthly", "started_at": "2026-01-31T10:00:00Z"}


# Repeated calls.


def test_a_repeated_call_is_answered_by_its_first_status_and_the_resource_as_it_is_now(
    call: Caller, account: Account
) -> None:
    path = f"accounts/{account.pk}/subscriptions/"
    first = call.post(path, PRO, Idempotency_Key="order-1")
    call.patch(f"subscriptions/{first.json()['id']}/", {"seats": 9}, If_Match="*")
    again = call.post(path, PRO, Idempotency_Key="order-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.json()["id"], again.json()["seats"]) == (first.json()["id"], 9)
    assert (again["Idempotent-Replayed"], "Idempotent-Replayed" in first) == ("true", False)
    assert Subscription.objects.count() == 1
    assert Event.objects.filter(kind="subscription.started").count() == 1


def test_where_a_key_is_needed_a_call_without_one_does_nothing(call: Caller, account: Account) -> None:
    assert problem(call.post(f"accounts/{account.pk}/subscriptions/", PRO)) == (400, "idempotency_key_missing")
    assert not Subscription.objects.exists()


def test_a_key_with_another_body_does_nothing(call: Caller, account: Account) -> None:
    path = f"accounts/{account.pk}/subscriptions/"
    call.post(path, PRO, Idempotency_Key="order-1")
    other = call.post(path, {**PRO, "seats": 2}, Idempotency_Key="order-1")
    assert problem(other) == (422, "idempotency_key_reused")
    assert Subscription.objects.get().seats == 1


def test_a_key_belongs_to_one_token_and_one_path(call: Caller) -> None:
    assert call.post("accounts/", HARBOUR, Idempotency_Key="k").status_code == 201
    other = Caller(name="other")
    assert other.post("accounts/", HARBOUR, Idempotency_Key="k").status_code == 200
    account = Account.objects.get()
    assert call.post(f"accounts/{account.pk}/deletion/", {}, Idempotency_Key="k").status_code == 201
    assert ApiCall.objects.count() == 3


def test_a_call_that_failed_may_be_made_anew_with_its_key(call: Caller, account: Account) -> None:
    path = f"accounts/{account.pk}/subscriptions/"
    running = subscribe(account, at=NOW)
    assert problem(call.post(path, PRO, Idempotency_Key="k")) == (409, "another_subscription")
    assert not ApiCall.objects.exists()
    Subscription.objects.filter(pk=running.pk).update(ends_at=running.started_at)
    assert call.post(path, PRO, Idempotency_Key="k").status_code == 201


def test_a_key_is_kept_for_seven_days_by_hashes_alone(call: Caller, account: Account) -> None:
    path = f"accounts/{account.pk}/subscriptions/"
    at = clock.now()
    call.post(path, PRO, Idempotency_Key="jane@example.org")
    row = ApiCall.objects.values().get()
    assert "jane" not in str(row)
    with time_machine.travel(at + 7 * DAY - MINUTE, tick=False):
        assert call.post(path, PRO, Idempotency_Key="jane@example.org").status_code == 201
        assert calls.forget(clock.now()) == 0
    with time_machine.travel(at + 7 * DAY + MINUTE, tick=False):
        # Nobody has swept: the row is there, and counts no more.
        assert problem(call.post(path, PRO, Idempotency_Key="jane@example.org")) == (409, "another_subscription")
        assert calls.forget(clock.now()) == 1
    assert not ApiCall.objects.exists()


def test_a_repeated_call_about_an_account_that_is_erased_meanwhile_is_told_so(call: Caller) -> None:
    made = call.post("accounts/", HARBOUR, Idempotency_Key="k").json()
    erase_all(Account.objects.get(pk=made["id"]))
    assert problem(call.post("accounts/", HARBOUR, Idempotency_Key="k")) == (410, "erased")
    assert not Account.objects.exists()


@pytest.mark.parametrize("key", ["x" * 256, "a\tb"])
def test_not_everything_is_a_key(call: Caller, key: str) -> None:
    refused = call.post("accounts/", HARBOUR, Idempotency_Key=key)
    assert problem(refused) == (422, "invalid")
    assert pointers(refused) == ["header:Idempotency-Key"]
    assert not Account.objects.exists()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.concurrency
def test_while_a_call_is_carried_out_its_repetition_is_told_to_come_again(call: Caller) -> None:
    key = idempotency._key_of(_request(), needed=False)
    answers: list[Any] = []

    def repeat() -> None:
        answers.append(call.post("accounts/", HARBOUR, Idempotency_Key="k"))
        connection.close()

    with transaction.atomic():
        assert locks.try_take(Lock.API_CALL, f"{call.token.pk}:{key}")
        beside = threading.Thread(target=repeat)
        beside.start()
        beside.join(30)
    assert problem(answers[0]) == (409, "still_running")
    assert answers[0]["Retry-After"] == "1"
    assert not Account.objects.exists()
    assert call.post("accounts/", HARBOUR, Idempotency_Key="k").status_code == 201


def _request() -> Any:
    from django.test import RequestFactory

    return RequestFactory().post(f"{ROOT}accounts/", headers={"Idempotency-Key": "k"})


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.concurrency
def test_many_calls_at_once_make_one_account(call: Caller) -> None:
    statuses: list[int] = []

    def create() -> None:
        statuses.append(call.post("accounts/", HARBOUR).status_code)
        connection.close()

    beside = [threading.Thread(target=create) for _ in range(6)]
    for thread in beside:
        thread.start()
    for thread in beside:
        thread.join(60)
    assert Account.objects.count() == 1
    assert Event.objects.filter(kind="account.opened").count() == 1
    # The database let one through; the others learn it from the row, or from its constraint.
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}


# Limits.


def test_a_token_asks_so_often_a_minute_and_others_as_often(call: Caller) -> None:
    other = Caller(name="other")
    with time_machine.travel("2026-11-27T10:00:42Z", tick=False), override_settings(API_CALLS_A_MINUTE=3):
        for _ in range(3):
            assert call.get("accounts/").status_code == 200
        refused = call.get("accounts/")
        assert problem(refused) == (429, "too_many_requests")
        assert refused["Retry-After"] == "18"
        assert other.get("accounts/").status_code == 200
    with time_machine.travel("2026-11-27T10:01:00Z", tick=False), override_settings(API_CALLS_A_MINUTE=3):
        assert call.get("accounts/").status_code == 200


def test_without_redis_calls_are_answered(call: Caller) -> None:
    away = {
        "default": {
            "BACKEND": "config.cache.Cache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
        }
    }
    with override_settings(CACHES=away):
        for _ in range(5):
            assert call.get("accounts/").status_code == 200
        assert call.post("accounts/", HARBOUR).status_code == 201
    cache.clear()


# Bodies.


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_json"),
        (b"\xff\xfe{}", 400, "bad_json"),
        (b'{"name": NaN}', 400, "bad_json"),
        (b"[" * 40 + b"]" * 40, 400, "bad_json"),
        (b'{"name": "\\u0000"}', 400, "bad_json"),
        (b'{"name": "\\ud800"}', 400, "bad_json"),
        (b"", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b"7", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b" " * 262_145, 413, "too_large"),
        (b" " * 4_000_000, 413, "too_large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_none_does_nothing(call: Caller, body: bytes, status: int, code: str) -> None:
    assert problem(call("POST", "accounts/", body)) == (status, code)
    assert not Account.objects.exists()


def test_a_body_is_json_and_says_so(call: Caller) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        response = Client().generic(
            "POST",
            f"{ROOT}accounts/",
            json.dumps(HARBOUR),
            content_type=kind,
            headers={"Authorization": f"Bearer {call.text}"},
        )
        assert problem(response) == (415, "unsupported_media_type"), kind
    assert not Account.objects.exists()


def test_a_problem_names_fields_and_says_nothing_of_what_was_sent(call: Caller) -> None:
    refused = call.post(
        "accounts/",
        {
            "external_id": "secret-1" * 40,
            "name": "secret-2\x07",
            "secret-3": 1,
            "owner": {"external_id": "u", "email": "secret-4", "time_zone": "secret-5", "language": "secret-6"},
        },
    )
    assert problem(refused) == (422, "invalid")
    assert pointers(refused) == ["", "/external_id", "/name", "/owner/email", "/owner/language", "/owner/time_zone"]
    assert "secret" not in refused.content.decode()
    assert not Account.objects.exists()


def test_nothing_is_kept_by_a_proxy_and_head_is_get(call: Caller, account: Account) -> None:
    path = f"accounts/{account.pk}/"
    shown, head = call.get(path), call("HEAD", path)
    assert shown["Cache-Control"] == "private, no-store"
    assert (head.status_code, head["ETag"], head.content) == (200, shown["ETag"], b"")
    assert head["Content-Length"] == str(len(shown.content))


def test_what_a_product_asks_all_day_is_three_statements(
    call: Caller, account: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    subscribe(account, at=NOW)
    call.get(f"accounts/{account.pk}/entitlements/")
    with django_assert_num_queries(3):
        assert call.get(f"accounts/{account.pk}/entitlements/").status_code == 200


def test_entitlements_are_as_at_the_old_door(call: Caller, account: Account) -> None:
    subscribe(account, at=NOW)
    old = Client().get(f"/api/accounts/{account.pk}/entitlements/", headers={"Authorization": "Bearer test-api-token"})
    new = call.get(f"accounts/{account.pk}/entitlements/")
    assert new.json() == old.json()
    assert call.get(f"accounts/{account.pk}/entitlements/", If_None_Match=new["ETag"]).status_code == 304


def test_nothing_that_is_refused_leaves_a_mail_or_a_line(call: Caller, account: Account) -> None:
    events, mails = Event.objects.count(), Notice.objects.count()
    call.post(f"accounts/{account.pk}/ownership/", {"external_id": "nobody"})
    call.post(f"accounts/{account.pk}/deletion/", {"message": "\x00"})
    call.patch(f"accounts/{account.pk}/", {"name": "New"}, If_Match='"stale"')
    call.delete(f"accounts/{account.pk}/members/%20/")
    assert (Event.objects.count(), Notice.objects.count()) == (events, mails)
