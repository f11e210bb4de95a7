"""The door for EventBridge: who has the key may tell; what is told is stored once, of whatever type."""

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.core import clock
from accounts.inbox import inbox
from accounts.models import Delivery, RefusedMessage
from marketplace.aws.views.events import is_known
from tests.fakes.aws import Event, FakeAWS, Message

pytestmark = pytest.mark.django_db
DOOR = "/marketplace/aws/events/"


@pytest.fixture
def event(aws: FakeAWS) -> Event:
    created = aws.buy(aws.buyer()).events[0]
    assert isinstance(created, Event)
    return created


def post(message: Message) -> tuple[int, dict[str, str]]:
    headers = {name: value for name, value in message.headers.items() if name != "Content-Type"}
    response = Client().generic("POST", DOOR, message.body, content_type=message.content_type, headers=headers)
    return response.status_code, json.loads(response.content)


def refused() -> list[tuple[str, str, int]]:
    return list(RefusedMessage.objects.values_list("source", "reason", "count"))


def test_an_event_is_stored_byte_for_byte_and_acknowledged(event: Event) -> None:
    assert post(event) == (202, {"status": "accepted"})
    stored = Delivery.objects.get()
    assert (stored.source, stored.delivery_id) == ("aws_events", event.envelope["id"])
    assert stored.event == "Purchase Agreement Created - Proposer"
    assert bytes(stored.body or b"") == event.body
    assert refused() == []


def test_an_event_that_is_sent_again_is_acknowledged_and_stored_once(event: Event) -> None:
    assert [post(event)[0] for _time in range(3)] == [202, 202, 202]
    assert Delivery.objects.count() == 1


def test_an_event_of_an_unknown_type_is_stored_and_processed(event: Event) -> None:
    surprise = event.altered(lambda envelope: envelope.update({"detail-type": "Purchase Agreement Surprised"}))
    assert post(surprise)[0] == 202
    inbox.process_due(clock.now())
    stored = Delivery.objects.get()
    assert (stored.outcome, stored.last_error) == ("unknown", "")


def test_accepting_costs_one_statement(event: Event, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        post(event)


@pytest.mark.parametrize("key", [None, "", "wrong", "test-events-toke", "test-events-tokenx", "TEST-EVENTS-TOKEN", "é"])
def test_without_the_key_nothing_is_stored(event: Event, key: str | None) -> None:
    answered, said = post(event.with_headers(x_api_key=key))
    assert (answered, said["error"]) == (401, "bad_token")
    assert not Delivery.objects.exists()
    assert refused() == [("aws_events", "token", 1)]


def test_the_key_in_another_header_is_no_key(event: Event) -> None:
    elsewhere = event.with_headers(x_api_key=None, authorization="Bearer test-events-token")
    assert post(elsewhere)[0] == 401
    assert not Delivery.objects.exists()


def test_during_a_rotation_both_keys_are_good(aws: FakeAWS, event: Event, settings: Settings) -> None:
    settings.AWS_EVENTS_TOKEN = ["new key", aws.events_token]
    assert post(event)[0] == 202
    assert post(event.with_headers(x_api_key="new key"))[0] == 202
    settings.AWS_EVENTS_TOKEN = ["new key"]
    assert post(event)[0] == 401


def test_no_key_is_known_where_none_is_set() -> None:
    assert not is_known("", [])
    assert not is_known("", [""])
    assert not is_known("a", [])


def test_without_a_token_the_door_is_closed(event: Event, settings: Settings) -> None:
    settings.AWS_EVENTS_TOKEN = []
    for message in (event, event.with_headers(x_api_key=None), event.with_headers(x_api_key="")):
        answered, said = post(message)
        assert (answered, said["error"]) == (503, "not_configured")
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("source", ["aws.ec2", "aws.marketplace", "", None, ["aws.agreement-marketplace"]])
def test_an_event_of_another_service_is_refused(event: Event, source: Any) -> None:
    answered, said = post(event.altered(lambda envelope: envelope.update(source=source)))
    assert (answered, said["error"]) == (403, "other_sender")
    assert not Delivery.objects.exists()
    assert refused() == [("aws_events", "sender", 1)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"id": "1", "source": "aws.agreement-marketplace"}',
        b'{"id": 1, "detail-type": "x", "source": "aws.agreement-marketplace"}',
        b'{"id": "", "detail-type": "x", "source": "aws.agreement-marketplace"}',
        b'{"id": "' + b"i" * 201 + b'", "detail-type": "x", "source": "aws.agreement-marketplace"}',
        b'{"id": "1", "detail-type": ["x"], "source": "aws.agreement-marketplace"}',
        b'{"id": "\\u0000", "detail-type": "x", "source": "aws.agreement-marketplace"}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_body_that_is_no_event_stores_nothing(event: Event, body: bytes) -> None:
    broken = Message(event.source, event.delivery_id, event.event, body, event.headers)
    assert post(broken)[0] == 400
    assert not Delivery.objects.exists()
    assert refused() == [("aws_events", "malformed", 1)]


def test_five_megabytes_are_refused_unread(event: Event) -> None:
    large = event.altered(lambda envelope: envelope.update(detail={"text": "x" * 5_000_000}))
    assert post(large)[0] == 413
    assert not Delivery.objects.exists()
    assert refused() == [("aws_events", "too_large", 1)]


def test_a_long_detail_type_is_cut_and_kept(event: Event) -> None:
    assert post(event.altered(lambda envelope: envelope.update({"detail-type": "x" * 150})))[0] == 202
    assert Delivery.objects.get().event == "x" * 100


def test_another_method_is_405_in_json() -> None:
    response = Client().get(DOOR)
    assert (response.status_code, response["Allow"], response["Content-Type"]) == (405, "POST", "application/json")


def test_without_a_database_the_answer_is_503(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> bool:
        raise OperationalError("couldn't get a connection after 3.00 sec")

    monkeypatch.setattr(inbox, "accept", refuse)
    assert post(event)[0] == 503
