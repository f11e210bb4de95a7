"""The deliveries that the fake makes: their shapes through the years, and their signatures."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.fakes.github import Account, Delivery, FakeGitHub, Plan
from tests.fakes.github.payloads import delivery
from tests.fakes.openapi.conforming import DESCRIPTION, check


@pytest.fixture
def pro(github: FakeGitHub) -> Plan:
    return github.listing_plan(name="Pro – für alle", monthly=900)


@pytest.fixture
def buyer(github: FakeGitHub) -> Account:
    return github.account("harbour")


def test_every_action_conforms_to_githubs_description(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    """In today's style. The earlier ones, captured from production, don't: that is why they can be asked for."""
    team = github.listing_plan(name="Team", price_model="PER_UNIT", monthly=500)
    told = [
        github.buy(buyer, pro),
        github.change(buyer, team, unit_count=5),
        github.schedule_change(buyer, pro),
        github.withdraw_change(buyer),
        github.schedule_change(buyer, None),
        github.apply_pending(buyer),
    ]

    assert [each.action for each in told] == [
        "purchased",
        "changed",
        "pending_change",
        "pending_change_cancelled",
        "pending_change",
        "cancelled",
    ]
    assert told == github.deliveries
    for each in told:
        check(DESCRIPTION["deliveries"][each.action], each.payload)
    assert github.purchase_of(buyer) is None


def test_a_cancellation_says_no_units_and_no_billing_date(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    github.buy(buyer, pro, unit_count=1)
    cancelled = github.cancel(buyer).payload
    assert cancelled["effective_date"] == "2026-03-02T00:00:00+00:00"
    assert cancelled["marketplace_purchase"]["unit_count"] == 0
    assert cancelled["marketplace_purchase"]["next_billing_date"] is None
    assert cancelled["marketplace_purchase"]["plan"]["name"] == "Pro – für alle"
    assert "previous_marketplace_purchase" not in cancelled


def test_a_pending_change_does_not_say_what_will_change(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    github.buy(buyer, pro, trial_ends=github.now + timedelta(days=14))
    pending = github.schedule_change(buyer, None).payload
    assert pending["marketplace_purchase"] == pending["previous_marketplace_purchase"]
    assert pending["marketplace_purchase"]["next_billing_date"] is None
    assert pending["marketplace_purchase"]["on_free_trial"] is True
    assert pending["effective_date"] == "2026-04-01T00:00:00+00:00"


def test_the_end_of_a_trial_changes_to_the_same_plan(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    github.buy(buyer, pro, trial_ends=github.now + timedelta(days=14))
    changed = github.change(buyer).payload
    assert changed["previous_marketplace_purchase"]["on_free_trial"] is True
    assert changed["marketplace_purchase"]["on_free_trial"] is False
    assert changed["marketplace_purchase"]["plan"] == changed["previous_marketplace_purchase"]["plan"]
    assert "next_billing_date" not in changed["previous_marketplace_purchase"]


def test_the_sender_of_an_organisations_event_is_a_person(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    company = github.account("northwind", type="Organization", admins=[buyer])
    colleague = github.account("colleague")

    bought = github.buy(company, pro).payload
    cancelled = github.cancel(company, by=colleague).payload

    assert bought["sender"]["login"] == "harbour"
    assert cancelled["sender"]["id"] == colleague.id
    assert bought["marketplace_purchase"]["account"]["organization_billing_email"] == "northwind@mail.example"
    assert github.buy(buyer, pro).payload["marketplace_purchase"]["account"]["organization_billing_email"] is None


def test_a_payload_of_2017(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    payload = github.buy(buyer, pro, era="2017").payload
    purchase = payload["marketplace_purchase"]
    assert payload["effective_date"] == "2026-03-02T09:30:00Z"
    assert payload["sender"]["email"] == "harbour@mail.example"
    assert "node_id" not in payload["sender"]
    assert "node_id" not in purchase["account"]
    assert purchase["unit_count"] is None
    assert "on_free_trial" not in purchase
    assert "has_free_trial" not in purchase["plan"]
    assert purchase["plan"]["price_model"] == "flat-rate"


def test_a_payload_of_2018(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    payload = github.buy(buyer, pro, era="2018").payload
    assert payload["effective_date"] == "2026-03-02T00:00:00+00:00"
    assert payload["sender"]["email"] is None
    assert "node_id" not in payload["marketplace_purchase"]["account"]
    assert payload["marketplace_purchase"]["plan"]["price_model"] == "flat-rate"


def test_price_models_in_small_letters(github: FakeGitHub, buyer: Account) -> None:
    github.casing = "old"
    team = github.listing_plan(name="Team", price_model="PER_UNIT", monthly=500)
    plan = github.buy(buyer, team, unit_count=3).payload["marketplace_purchase"]["plan"]
    assert (plan["price_model"], plan["unit_name"]) == ("per-unit", "seat")


def test_a_renewal_and_a_rename_send_nothing(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    github.buy(buyer, pro)
    github.renew(buyer)
    github.rename(buyer, "quay")
    assert len(github.deliveries) == 1
    purchase = github.purchase_of(buyer)
    assert purchase
    assert purchase.next_billing_date
    assert purchase.next_billing_date.date().isoformat() == "2026-05-01"
    cancelled = github.cancel(buyer).payload["marketplace_purchase"]["account"]
    assert (cancelled["id"], cancelled["login"]) == (buyer.id, "quay")


def test_what_cannot_happen_is_refused(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    with pytest.raises(ValueError, match="bought nothing"):
        github.cancel(buyer)
    github.buy(buyer, pro)
    with pytest.raises(ValueError, match="has a plan already"):
        github.buy(buyer, pro)
    with pytest.raises(ValueError, match="no scheduled change"):
        github.withdraw_change(buyer)
    assert len(github.deliveries) == 1


# Signatures


def test_a_delivery_is_signed_over_its_bytes(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    bought = github.buy(buyer, pro)
    expected = hmac.new(b"test-webhook-secret", bought.body, hashlib.sha256).hexdigest()
    assert "für alle".encode() in bought.body
    assert bought.headers["X-Hub-Signature-256"] == f"sha256={expected}"
    assert bought.headers["X-GitHub-Event"] == "marketplace_purchase"
    assert bought.headers["X-GitHub-Delivery"] == bought.guid
    assert bought.headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert json.loads(bought.body) == bought.payload


def test_githubs_own_signature_example() -> None:
    """docs.github.com, "Validating webhook deliveries"."""
    signed = Delivery("ping", "", b"Hello, World!", {}, {}).signed("It's a Secret to Everybody")
    assert signed.headers["X-Hub-Signature-256"] == (
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )


def test_a_form_encoded_delivery_is_signed_as_sent(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    github.content_type = "form"
    bought = github.buy(buyer, pro)
    assert bought.content_type == "application/x-www-form-urlencoded"
    assert json.loads(parse_qs(bought.body.decode())["payload"][0]) == bought.payload
    assert bought.headers["X-Hub-Signature-256"] == bought.signed("test-webhook-secret").headers["X-Hub-Signature-256"]


def test_a_replay_has_another_guid_and_a_valid_signature(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    bought = github.buy(buyer, pro)
    replayed = bought.replayed()
    assert replayed.guid == replayed.headers["X-GitHub-Delivery"] != bought.guid
    assert (replayed.body, replayed.headers["X-Hub-Signature-256"]) == (
        bought.body,
        bought.headers["X-Hub-Signature-256"],
    )


def test_an_altered_delivery_is_signed_anew(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    def lose_the_date(payload: dict[str, Any]) -> None:
        del payload["effective_date"]

    bought = github.buy(buyer, pro)
    altered = bought.altered(lose_the_date, secret="another")
    assert "effective_date" not in altered.payload
    assert "effective_date" in bought.payload
    assert altered.headers["X-Hub-Signature-256"] == altered.signed("another").headers["X-Hub-Signature-256"]


def test_a_ping_has_no_action(github: FakeGitHub) -> None:
    ping = github.ping()
    assert ping.headers["X-GitHub-Event"] == "ping"
    assert ping.action is None
    assert ping.payload["hook"]["type"] == "Marketplace::Listing"
    assert str(ping.payload["hook_id"]) == ping.headers["X-GitHub-Hook-ID"]


def test_octokits_examples_can_be_signed(github: FakeGitHub) -> None:
    examples = json.loads((Path(__file__).parent / "octokit_examples.json").read_text())
    assert examples["source"]["licence"] == "MIT"
    assert [example["action"] for example in examples["marketplace_purchase"]] == [
        "purchased",
        "cancelled",
        "changed",
        "purchased",
    ]
    assert len(examples["ping"]) == 4
    for example in examples["marketplace_purchase"]:
        assert github.delivery(example).payload == example


# Posting


class Receiver(HTTPServer):
    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), Receiving)


class Receiving(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["X-GitHub-Delivery"], body))
        self.send_response(500 if "broken" in self.path else 202)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield receiver
        receiver.shutdown()


def test_deliveries_are_posted_as_they_are_made(
    github: FakeGitHub, receiver: Receiver, pro: Plan, buyer: Account
) -> None:
    github.webhook_url = f"http://127.0.0.1:{receiver.server_port}/webhook/"
    bought = github.buy(buyer, pro)
    github.post(bought)
    github.webhook_url = f"http://127.0.0.1:{receiver.server_port}/broken/"
    cancelled = github.cancel(buyer)

    assert github.posted == [(bought.guid, 202), (bought.guid, 202), (cancelled.guid, 500)]
    assert receiver.received == [
        (bought.guid, bought.body),
        (bought.guid, bought.body),
        (cancelled.guid, cancelled.body),
    ]


def test_a_delivery_that_nobody_takes_is_lost(github: FakeGitHub, pro: Plan, buyer: Account) -> None:
    github.webhook_url = "http://127.0.0.1:1/"
    bought = github.buy(buyer, pro)
    assert github.posted == [(bought.guid, None)]
    assert github.purchase_of(buyer)


def test_deliveries_stay_on_this_machine() -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1 only"):
        delivery({}, event="ping", secret="a").post("http://blueprints.example/")
