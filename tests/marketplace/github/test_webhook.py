"""The webhook: signed bytes are stored once and acknowledged; anything else leaves no trace."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.core import clock
from accounts.inbox import inbox
from accounts.models import Delivery
from config import celery_app
from marketplace.github.signature import is_signed, sign
from tests.factories import NOW
from tests.fakes.github import FakeGitHub
from tests.marketplace.conftest import WEBHOOK, World, post

pytestmark = pytest.mark.django_db
SECRET = "test-webhook-secret"
BODY = b'{"action": "purchased", "marketplace_purchase": {"account": {"id": 1}, "plan": {"id": 2}}}'


def send(
    headers: dict[str, str] | None = None, *, body: bytes = BODY, content_type: str = "application/json"
) -> tuple[int, dict[str, str]]:
    sent = {
        "X-GitHub-Event": "marketplace_purchase",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": sign(SECRET, body),
        **(headers or {}),
    }
    response = Client().post(
        WEBHOOK, body, content_type=content_type, headers={name: value for name, value in sent.items() if value}
    )
    return response.status_code, json.loads(response.content)


def test_githubs_own_example_of_a_signature_is_accepted() -> None:
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert is_signed(b"Hello, World!", header, ["It's a Secret to Everybody"])
    assert is_signed(b"Hello, World!", header.upper().replace("SHA", "sha"), ["It's a Secret to Everybody"])
    assert not is_signed(b"Hello, World?", header, ["It's a Secret to Everybody"])
    assert not is_signed(b"Hello, World!", header, [])


def test_a_delivery_is_stored_byte_for_byte_and_acknowledged() -> None:
    body = '{ "action":"purchased","name":"Ünïcode 🚢" }'.encode()
    assert send({"X-GitHub-Delivery": "guid-1"}, body=body) == (202, {"status": "accepted"})
    stored = Delivery.objects.get()
    assert (stored.source, stored.delivery_id, stored.event) == ("github", "guid-1", "marketplace_purchase")
    assert bytes(stored.body or b"") == body
    assert bytes(stored.digest) == hashlib.sha256(body).digest()
    assert stored.processed_at is None


def test_a_delivery_sent_again_is_acknowledged_and_stored_once() -> None:
    for _time in range(3):
        assert send({"X-GitHub-Delivery": "guid-1"})[0] == 202
    assert Delivery.objects.count() == 1


def test_a_form_is_as_good_as_json(github: FakeGitHub) -> None:
    pro = github.listing_plan(name="Pro", monthly=900)
    github.content_type = "form"
    assert post(github.buy(github.account(login="harbour"), pro)) == 202
    assert Delivery.objects.get().content_type == "application/x-www-form-urlencoded"


def test_during_a_rotation_both_secrets_are_good(settings: Settings) -> None:
    settings.GITHUB_WEBHOOK_SECRETS = ["new secret", SECRET]
    assert send()[0] == 202
    assert send({"X-Hub-Signature-256": sign("new secret", BODY)})[0] == 202
    settings.GITHUB_WEBHOOK_SECRETS = ["new secret"]
    assert send()[0] == 401


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        "sha256=1234",
        "sha256=" + "z" * 64,
        "sha256=" + "0" * 64,
        "sha256=" + "é" * 64,
        "sha1=" + hmac.new(SECRET.encode(), BODY, "sha1").hexdigest(),
        sign(SECRET, BODY)[7:],
        sign("another secret", BODY),
        sign(SECRET, BODY + b" "),
    ],
)
def test_a_signature_that_is_not_ours_stores_nothing(signature: str) -> None:
    status, answer = send({"X-Hub-Signature-256": signature})
    assert (status, answer["error"]) == (401, "bad_signature")
    assert not Delivery.objects.exists()


def test_the_old_signature_alone_is_not_enough() -> None:
    old = "sha1=" + hmac.new(SECRET.encode(), BODY, "sha1").hexdigest()
    assert send({"X-Hub-Signature-256": "", "X-Hub-Signature": old})[0] == 401
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"hello", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
        (b"\xff{}", "application/json", 400),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a": "\\u0000"}', "application/json", 400),
        (b"{}", "application/x-www-form-urlencoded", 400),
        (b"payload=%5B%5D", "application/x-www-form-urlencoded", 400),
        (b"payload=%7B%7D&payload=%7B%7D", "application/x-www-form-urlencoded", 400),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
    ],
)
def test_a_signed_body_that_makes_no_sense_stores_nothing(body: bytes, content_type: str, status: int) -> None:
    assert send(body=body, content_type=content_type)[0] == status
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-GitHub-Delivery": ""},
        {"X-GitHub-Event": ""},
        {"X-GitHub-Delivery": "g" * 201},
        {"X-GitHub-Event": "e" * 101},
    ],
)
def test_a_delivery_without_its_headers_stores_nothing(headers: dict[str, str]) -> None:
    assert send(headers)[0] == 400
    assert not Delivery.objects.exists()


def test_another_method_is_405_in_json() -> None:
    response = Client().get(WEBHOOK)
    assert (response.status_code, response["Allow"], response["Content-Type"]) == (405, "POST", "application/json")


def test_accepting_costs_one_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        send()


def test_without_a_database_the_answer_is_503_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> bool:
        raise OperationalError("couldn't get a connection after 5.00 sec")

    monkeypatch.setattr(inbox, "accept", refuse)
    assert send()[0] == 503


def test_a_broker_that_is_away_is_nobodys_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fail(*args: object, **kwargs: object) -> None:
        calls.append(args)
        raise ConnectionRefusedError

    monkeypatch.setattr(inbox, "nudge", inbox._Nudge())
    monkeypatch.setattr(celery_app, "send_task", fail)
    assert [send()[0] for _time in range(3)] == [202, 202, 202]
    # After the first failure the broker is left alone for a while.
    assert len(calls) == 1
    assert Delivery.objects.count() == 3


def test_the_example_bodies_that_githubs_tooling_publishes_are_accepted_and_processed() -> None:
    examples = json.loads(Path(__file__).parents[2].joinpath("fakes/octokit_examples.json").read_text())
    bodies = examples["marketplace_purchase"]
    assert len(bodies) >= 3
    for body in bodies:
        assert send(body=json.dumps(body).encode())[0] == 202
    for body in examples["ping"]:
        assert send({"X-GitHub-Event": "ping"}, body=json.dumps(body).encode())[0] == 202

    inbox.process_due(NOW + timedelta(days=100_000))
    assert not Delivery.objects.unprocessed().exists()


def test_one_event_of_two_hooks_is_stored_twice_and_of_one_hook_once() -> None:
    """The app's hook and the Marketplace's on one address: both give an event the same id."""
    for hook in ("11", "22", "22", "11"):
        assert send({"X-GitHub-Delivery": "guid-1", "X-GitHub-Hook-ID": hook})[0] == 202
    assert set(Delivery.objects.values_list("hook", "delivery_id")) == {("11", "guid-1"), ("22", "guid-1")}


def test_what_a_draft_listing_says_is_stored_and_never_applied(world: World, settings: Settings) -> None:
    settings.GITHUB_DRAFT_WEBHOOK_SECRETS = ["the draft's"]
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    assert post(world.github.buy(buyer, pro)) == 202
    assert post(world.github.cancel(buyer).signed("the draft's")) == 202
    inbox.process_due(clock.now())
    outcomes = dict(Delivery.objects.values_list("mode", "outcome"))
    assert outcomes == {"": "applied", "draft": "test"}
    assert world.account_of(buyer).deactivated_at is None


def test_two_listings_that_share_a_secret_do_not_start() -> None:
    environment = {**os.environ, "GITHUB_WEBHOOK_SECRETS": "one,two", "GITHUB_DRAFT_WEBHOOK_SECRETS": "three, two"}
    outcome = subprocess.run(
        [sys.executable, "manage.py", "check"], env=environment, capture_output=True, text=True, check=False
    )
    assert outcome.returncode != 0
    assert "share a secret" in outcome.stderr


def test_a_delivery_knows_everybody_whom_its_body_names() -> None:
    body = json.dumps(
        {
            "action": "created",
            "installation": {"id": 5, "account": {"id": 1001, "login": "harbour"}},
            "repositories": [{"id": 7, "owner": {"id": 1002}}],
            "sender": {"id": 1003, "login": "olga"},
        }
    ).encode()
    send({"X-GitHub-Event": "installation"}, body=body)
    assert Delivery.objects.get().named == ["1001", "1002", "1003"]


def test_without_a_secret_the_door_is_closed(settings: Settings) -> None:
    settings.GITHUB_WEBHOOK_SECRETS = []
    answer = Client().post(WEBHOOK, b"{}", content_type="application/json")
    assert (answer.status_code, answer.json()["error"]) == (503, "not_configured")
    assert not Delivery.objects.exists()
