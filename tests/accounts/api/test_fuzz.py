"""What nobody means to send, made from the committed document: no door breaks, and none does half of anything.

`make test` tries a few hundred; `API_CASES=10000` as many as it says, shared out among the operations.
"""

import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from django.test import override_settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from accounts.api import application
from accounts.core import clock
from accounts.models import Account
from config.wsgi import application as wsgi
from subscriptions.models import Channel
from tests.accounts.api.calling import Caller
from tests.factories import AccountFactory, subscribe

pytestmark = pytest.mark.django_db
CASES = int(os.environ.get("API_CASES", "240"))
#: Everything that a call may write to.
TABLES = (
    "accounts_account",
    "accounts_user",
    "accounts_membership",
    "accounts_event",
    "accounts_notice",
    "accounts_apicall",
    "accounts_usagecount",
    "accounts_supportrequest",
    "accounts_endpoint",
    "accounts_dispatch",
    "subscriptions_subscription",
    "subscriptions_cancellation",
)
#: Counts rows, and how often they were changed as far as that is counted.
COUNTS = "SELECT {}, {}".format(
    ", ".join(f"(SELECT count(*) FROM {table})" for table in TABLES),  # noqa: S608  # our own names
    "(SELECT sum(version) FROM accounts_account), (SELECT sum(version) FROM subscriptions_subscription)",
)
OPERATIONS = [(path, method) for path, operations in application.document()["paths"].items() for method in operations]


def counts() -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(COUNTS)
        found: tuple[int, ...] = cursor.fetchone()
        return found


@pytest.fixture
def served() -> Iterator[None]:
    """The application answers in this thread and on the test's connection, however often it is asked."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    with override_settings(API_CALLS_A_MINUTE=1_000_000):
        yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def ids(account: Account) -> dict[str, list[Any]]:
    """What there is, beside what the document makes up."""
    at = clock.now()
    Account.objects.filter(pk=account.pk).update(external_id="cust-1")
    running = subscribe(account, at=at, external_id="sub-1")
    elsewhere = subscribe(AccountFactory(), at=at, channel=Channel.GITHUB_MARKETPLACE)
    return {
        "account_id": [str(account.pk), str(elsewhere.account_id)],
        "subscription_id": [running.pk, elsewhere.pk],
        "external_id": ["u-1", "cust-1", "sub-1"],
    }


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS])
def test_no_door_breaks(path: str, method: str, call: Caller, ids: dict[str, list[Any]], served: None) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", wsgi)
    operation = schema[path][method]
    # Half of what it makes is as the document says, half is not.
    made = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @hypothesis.settings(
        max_examples=max(CASES // len(OPERATIONS), 1),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=made, known=st.data())
    def send(case: Any, known: Any) -> None:
        for place in (case.path_parameters, case.query):
            for name in set(place or {}) & set(ids):
                if known.draw(st.booleans()):
                    place[name] = known.draw(st.sampled_from(ids[name]))
        if "If-Match" in (case.headers or {}) and known.draw(st.booleans()):
            case.headers["If-Match"] = "*"
        before = counts()
        response = case.call(headers={"Authorization": f"Bearer {call.text}"})
        assert response.status_code < 500, case.as_curl_command()
        case.validate_response(
            response,
            excluded_checks=[
                # A 404, a 409 or a 422 may follow what the document allows: there is no such row, plan or instant.
                schemathesis.checks.CHECKS.get_one("positive_data_acceptance"),
                # Asked by tests of their own.
                schemathesis.checks.CHECKS.get_one("ignored_auth"),
                schemathesis.checks.CHECKS.get_one("use_after_free"),
                schemathesis.checks.CHECKS.get_one("ensure_resource_availability"),
                # An If-Match that is malformed matches nothing: 412.
                schemathesis.checks.CHECKS.get_one("missing_required_header"),
                schemathesis.checks.CHECKS.get_one("negative_data_rejection"),
                schemathesis.checks.CHECKS.get_one("unsupported_method"),
            ],
        )
        if response.status_code >= 400:
            assert response.headers["content-type"] == ["application/problem+json"]
            assert counts() == before, case.as_curl_command()

    send()


def test_the_document_is_of_the_tables_that_are_there() -> None:
    assert settings.ROOT_URLCONF
    assert set(TABLES) <= set(connection.introspection.table_names())
