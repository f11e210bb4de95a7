"""All that the fake Stripe shows is in the shape of Stripe's published description; what is not would be seen."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.fakes.stripe import VERSION, FakeStripe, clocks, leftovers
from tests.fakes.stripe.conforming import mistakes
from tests.fakes.stripe.spec import Json, document
from tests.fakes.stripe.state import KINDS

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def stripe() -> FakeStripe:
    """A year of everything that happens here."""
    stripe = FakeStripe()
    stripe.now = START
    owner = stripe.customer(email="olga@example.org", name="Olga Owner")
    monthly = stripe.price(4900, lookup_key="pro_monthly")
    yearly = stripe.price(49000, interval="year")
    stripe.price(None)
    stripe.price(500, interval=None)
    stripe.price(7, usage_type="metered")
    kept = stripe.subscribe(owner, monthly, quantity=2)
    stripe.portal_cancel(kept, feedback="unused", comment="Too quiet")
    stripe.portal_keep(kept)
    stripe.change(kept, quantity=3)
    classic = stripe.subscribe(stripe.customer(), yearly, mode="classic")
    stripe.portal_cancel(classic)
    stripe.subscribe(stripe.customer(), monthly, trial_end=START + timedelta(days=14))
    for card in ("declines", "debits", "authenticates", None):
        stripe.subscribe(stripe.customer(card=card), monthly)
    stripe.subscribe(stripe.customer(card=None), monthly, collection_method="send_invoice", days_until_due=7)
    stripe.pause(stripe.subscribe(stripe.customer(), monthly))
    stripe.pause_collection(stripe.subscribe(stripe.customer(), monthly), "void")
    managed = stripe.subscribe(stripe.customer(), yearly)
    stripe.schedule_for(managed, end_behavior="cancel", until=START + timedelta(days=40))
    stripe.tax_percent = 19
    taxed = stripe.subscribe(stripe.customer(), monthly)
    stripe.tax_percent = 0
    stripe.credit(taxed["latest_invoice"], refund_amount=119)
    for status in ("pending", "requires_action", "succeeded"):
        stripe.refunds_are = status
        refund = stripe.refund(kept["latest_invoice"], 100)
    stripe.settle_refund(refund, "failed", reason="declined")
    disputed = stripe.dispute(kept["latest_invoice"])
    asked = {"mode": "subscription", "success_url": "https://blueprints.example/", "customer": owner["id"]}
    for _ in range(3):
        session = stripe.open_session({**asked, "line_items": [{"price": monthly["id"], "quantity": 1}]})
    stripe.complete(session)
    stripe.open_portal({"customer": owner["id"], "return_url": "https://blueprints.example/"})
    clocks.make(stripe, frozen_time=int(START.timestamp()))
    leftovers.payment(stripe, owner)
    leftovers.set_up(stripe, owner)
    leftovers.tax_id(stripe, owner)
    stripe.advance(days=20)
    stripe.pay_with(owner, "declines")
    stripe.close_dispute(disputed)
    stripe.advance(days=200)
    stripe.delete_customer(taxed["customer"])
    return stripe


@pytest.mark.parametrize("kind", sorted(set(KINDS.values()) - {"redaction_jobs"}))
def test_every_object_is_as_described(stripe: FakeStripe, kind: str) -> None:
    shown = list(getattr(stripe, kind))
    assert shown or kind in ("portal_configurations", "webhook_endpoints")
    assert [wrong for thing in shown for wrong in mistakes(thing)] == []


def test_what_events_carry_is_as_described(stripe: FakeStripe) -> None:
    assert [wrong for event in stripe.events for wrong in mistakes(event["data"]["object"])] == []
    # Every status but these was seen, so that their shapes were.
    assert {told["data"]["object"]["status"] for told in stripe.events if "subscription." in told["type"]} >= {
        "active",
        "canceled",
        "incomplete",
        "incomplete_expired",
        "past_due",
        "paused",
        "trialing",
    }


def test_answers_are_as_described_also_when_expanded(stripe: FakeStripe) -> None:
    with stripe, httpx.Client(base_url=stripe.url, auth=(stripe.api_key, ""), trust_env=False) as rest:
        for address in (
            "/v1/subscriptions?status=all&limit=100&expand[]=data.latest_invoice.payments&expand[]=data.customer",
            "/v1/invoices?limit=100&expand[]=data.payments.data.payment.payment_intent",
            "/v1/charges?limit=100&expand[]=data.refunds",
            "/v1/checkout/sessions?expand[]=data.line_items&expand[]=data.subscription",
            "/v1/prices?expand[]=data.product",
            "/v1/subscriptions/sub_none",
        ):
            assert (address, mistakes(rest.get(address).json())) == (address, [])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda thing: thing.pop("status"),
        lambda thing: thing["cancellation_details"].update(feedback="bored"),
        lambda thing: thing["items"]["data"][0].pop("current_period_end"),
        lambda thing: thing.update(current_period_end=1),
    ],
    ids=["no status", "no such feedback", "an item without its period", "a period where it was before basil"],
)
def test_what_is_not_as_described_is_seen(stripe: FakeStripe, spoil: Callable[[Json], object]) -> None:
    thing: Json = deepcopy(next(iter(stripe.subscriptions)))
    assert mistakes(thing) == []
    spoil(thing)
    assert len(mistakes(thing)) == 1


def test_the_version_that_it_speaks_is_the_one_that_is_described() -> None:
    assert document()["info"]["version"] == VERSION
