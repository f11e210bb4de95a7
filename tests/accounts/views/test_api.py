"""The product's API: tokens, answers, errors."""

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.blueprints.models import CloudConnection
from accounts.models import Account
from subscriptions.ending.cancellation import cancel
from tests.factories import NOW, ConnectionFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
TOKEN = {"Authorization": "Bearer test-api-token"}
UNKNOWN = "11111111-2222-4333-8444-555555555555"
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
RESOURCES = [{"id": "i-1", "type": "ec2", "name": "web-1", "region": "eu-west-1"}]


def entitlements(account: Account, **headers: str) -> Any:
    return Client().get(f"/api/accounts/{account.pk}/entitlements/", headers={**TOKEN, **headers})


def put(connection: CloudConnection, body: object, **headers: str) -> Any:
    return Client().put(
        f"/api/accounts/{connection.account_id}/connections/{connection.pk}/resources/",
        body if isinstance(body, bytes) else json.dumps(body),
        content_type="application/json",
        headers={**TOKEN, **headers},
    )


def test_the_answer_is_right_at_the_instant_it_is_asked_though_no_job_has_run(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    with time_machine.travel(cancellation.effective_at - SECOND, tick=False):
        before = entitlements(account)
    with time_machine.travel(cancellation.effective_at, tick=False):
        after = entitlements(account)
    assert before.json() == {
        "account": str(account.pk),
        "active": True,
        "plan": "pro",
        "features": ["bits_menu", "cloud_updates", "infinite_grid", "live"],
        "since": "2026-03-17T09:30:00Z",
        "until": "2026-04-17T09:30:00Z",
    }
    assert after.json() == {
        "account": str(account.pk),
        "active": True,
        "plan": "free",
        "features": [],
        "since": "2026-04-17T09:30:00Z",
        "until": None,
    }


def test_an_unchanged_answer_is_not_sent_again(account: Account) -> None:
    first = entitlements(account)
    again = entitlements(account, **{"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    subscribe(account, at=NOW)
    assert entitlements(account, **{"If-None-Match": first["ETag"]}).status_code == 200
    assert first["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic test-api-token", "test-api-token", "Bearer ÿ"]
)
def test_without_a_token_nothing_is_said(account: Account, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = Client().get(f"/api/accounts/{account.pk}/entitlements/", headers=headers)
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["error"] == "unauthorized"


def test_an_unknown_account_is_404_in_json() -> None:
    for path in (f"/api/accounts/{UNKNOWN}/entitlements/", "/api/accounts/not-a-uuid/entitlements/", "/api/nothing/"):
        response = Client().get(path, headers=TOKEN)
        assert response.status_code == 404
        assert response["Content-Type"] == "application/json"


def test_a_wrong_method_is_405_in_json(account: Account) -> None:
    response = Client().post(f"/api/accounts/{account.pk}/entitlements/", headers=TOKEN)
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert response.json()["error"] == "method_not_allowed"


def test_an_inventory_is_replaced_by_the_newest(account: Account) -> None:
    subscribe(account, at=NOW)
    connection = ConnectionFactory(account=account, resources=[])
    with time_machine.travel(NOW + DAY, tick=False):
        response = put(connection, RESOURCES)
    assert (response.status_code, response.json()) == (200, {"resources": 1, "as_of": "2026-03-18T09:30:00Z"})
    connection.refresh_from_db()
    assert (connection.resources, connection.resources_at) == (RESOURCES, NOW + DAY)


def test_an_inventory_is_refused_without_the_feature_and_stays_as_it_is(account: Account) -> None:
    connection = ConnectionFactory(account=account, resources=RESOURCES)
    response = put(connection, [])
    assert response.status_code == 403
    assert response.json() == {
        "error": "not_entitled",
        "message": "The account's plan does not include updates of cloud resources. "
        "The stored inventory stays as it is.",
        "feature": "cloud_updates",
        "plan": "free",
        "since": "2025-02-10T09:30:00Z",
    }
    connection.refresh_from_db()
    assert connection.resources == RESOURCES


def test_a_connection_of_another_account_is_not_found(account: Account) -> None:
    foreign = ConnectionFactory()
    response = Client().put(
        f"/api/accounts/{account.pk}/connections/{foreign.pk}/resources/",
        "[]",
        content_type="application/json",
        headers=TOKEN,
    )
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "bad_json"),
        (b"\xff\xfe", 400, "bad_json"),
        (b"\xef\xbb\xbf[]", 400, "bad_json"),
        (b"[" * 100_000, 400, "bad_json"),
        (b"[" * 40 + b"]" * 40, 400, "bad_json"),
        (b'["\\u0000"]', 400, "bad_json"),
        (b"[Infinity]", 400, "bad_json"),
        (b"[1" + b"0" * 5000 + b"]", 400, "bad_json"),
        (b'{"id": "i-1"}', 422, "bad_inventory"),
        (b'[{"id": "i-1"}]', 422, "bad_inventory"),
        (b'[{"id": 5, "type": "t", "name": "n", "region": "r"}]', 422, "bad_inventory"),
        (b" " * (4 * 1024 * 1024 + 1), 413, "too_large"),
    ],
)
def test_a_body_that_makes_no_sense_changes_nothing(account: Account, body: bytes, status: int, error: str) -> None:
    subscribe(account, at=NOW)
    connection = ConnectionFactory(account=account, resources=RESOURCES)
    response = put(connection, body)
    assert (response.status_code, response.json()["error"]) == (status, error)
    connection.refresh_from_db()
    assert connection.resources == RESOURCES


def test_the_number_of_statements_is_constant(
    account: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    subscribe(account, at=NOW)
    with django_assert_num_queries(2):
        entitlements(account)
