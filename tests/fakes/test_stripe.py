"""The fake Stripe, asked by Stripe's own client: what it holds, what it refuses, what time does."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import stripe as sdk

from tests.fakes.stripe import VERSION, FakeStripe

NEW_YEAR = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def one() -> Iterator[FakeStripe]:
    with FakeStripe() as stripe:
        yield stripe


@pytest.fixture
def stripe(one: FakeStripe) -> FakeStripe:
    one.clear()
    one.now = NEW_YEAR
    return one


@pytest.fixture
def client(stripe: FakeStripe) -> sdk.StripeClient:
    return sdk.StripeClient(
        stripe.api_key, base_addresses={"api": stripe.url}, stripe_version=VERSION, max_network_retries=0
    )


def test_a_subscription_is_paid_at_once_and_its_period_stands_on_its_item(
    stripe: FakeStripe, client: sdk.StripeClient
) -> None:
    customer = client.v1.customers.create({"email": "olga@example.org", "payment_method": "pm_card_visa"})
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 4900,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Pro"},
        }
    )
    subscription = client.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id, "quantity": 3}]}
    )
    assert subscription.status == "active"
    (item,) = subscription["items"].data
    # The 31st becomes February's last day, and the 31st again.
    assert datetime.fromtimestamp(item.current_period_end, UTC) == datetime(2026, 2, 28, 12, tzinfo=UTC)
    stripe.advance(days=30)
    assert datetime.fromtimestamp(stripe.period_end(stripe.the(subscription.id)), UTC) == datetime(
        2026, 3, 31, 12, tzinfo=UTC
    )
    assert [invoice["amount_paid"] for invoice in stripe.invoices] == [14700, 14700]


def test_both_fields_of_an_end_in_one_request_are_refused(stripe: FakeStripe, client: sdk.StripeClient) -> None:
    subscription = stripe.subscribe(stripe.customer())
    with pytest.raises(sdk.InvalidRequestError, match="Received both cancel_at_period_end and cancel_at parameters"):
        client.v1.subscriptions.update(subscription["id"], {"cancel_at_period_end": True, "cancel_at": ""})


def test_a_renewal_is_a_draft_for_an_hour(stripe: FakeStripe) -> None:
    subscription = stripe.subscribe(stripe.customer())
    end = stripe.period_end(subscription)
    stripe.advance(end + 3599)
    renewal = stripe.the(subscription["latest_invoice"])
    assert (renewal["billing_reason"], renewal["status"]) == ("subscription_cycle", "draft")
    stripe.advance(seconds=1)
    assert (renewal["status"], renewal["amount_paid"]) == ("paid", 4900)


def test_a_declined_card_is_retried_and_then_ends_it(stripe: FakeStripe) -> None:
    customer = stripe.customer()
    subscription = stripe.subscribe(customer)
    stripe.pay_with(customer, "declines")
    stripe.advance(stripe.period_end(subscription) + 3600)
    assert subscription["status"] == "past_due"
    stripe.advance(days=15)
    assert (subscription["status"], subscription["cancellation_details"]["reason"]) == ("canceled", "payment_failed")
    assert stripe.the(subscription["latest_invoice"])["attempt_count"] == 4


def test_the_same_key_and_body_is_the_same_answer_and_nothing_is_done(
    stripe: FakeStripe, client: sdk.StripeClient
) -> None:
    subscription = stripe.subscribe(stripe.customer())
    intent = stripe.intent_of(stripe.the(subscription["latest_invoice"]))
    assert intent
    asked: sdk.params.RefundCreateParams = {"payment_intent": intent["id"], "amount": 100}
    first = client.v1.refunds.create(asked, {"idempotency_key": "REF-1:1"})
    again = client.v1.refunds.create(asked, {"idempotency_key": "REF-1:1"})
    assert first.id == again.id
    assert again.last_response
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(sdk.IdempotencyError):
        client.v1.refunds.create({**asked, "amount": 200}, {"idempotency_key": "REF-1:1"})
    stripe.advance(hours=25)
    assert client.v1.refunds.create(asked, {"idempotency_key": "REF-1:1"}).id != first.id
