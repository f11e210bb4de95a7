"""The fake Stripe fails on demand, in each way that its clients must bear, and loses, doubles and shuffles its news."""

import hashlib
import hmac
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import stripe as sdk

from tests.factories import NOW
from tests.fakes.stripe import VERSION, FakeStripe
from tests.fakes.stripe.spec import Json


@pytest.fixture(scope="module")
def one() -> Iterator[FakeStripe]:
    with FakeStripe() as stripe:
        yield stripe


@pytest.fixture
def stripe(one: FakeStripe) -> FakeStripe:
    one.clear()
    one.now = NOW
    return one


@pytest.fixture
def client(stripe: FakeStripe) -> sdk.StripeClient:
    return sdk.StripeClient(
        stripe.api_key,
        base_addresses={"api": stripe.url},
        stripe_version=VERSION,
        max_network_retries=0,
        http_client=sdk.RequestsClient(timeout=5),
    )


@pytest.fixture
def rest(stripe: FakeStripe) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stripe.url, auth=(stripe.api_key, ""), trust_env=False) as client:
        yield client


@pytest.fixture
def subscription(stripe: FakeStripe) -> Json:
    return stripe.subscribe(stripe.customer(), stripe.price(4900))


def test_an_answer_is_lost_before_the_work_or_after_it(
    stripe: FakeStripe, client: sdk.StripeClient, subscription: Json
) -> None:
    for carried_out in (False, True):
        stripe.fail("POST /v1/subscriptions/*", disconnect=True, carried_out=carried_out)
        with pytest.raises(sdk.APIConnectionError):
            client.v1.subscriptions.update(subscription["id"], {"cancel_at_period_end": True})
        assert subscription["cancel_at_period_end"] is carried_out
    assert [request.carried_out for request in stripe.requested("POST *")] == [False, True]


def test_the_two_meanings_of_429(stripe: FakeStripe, client: sdk.StripeClient, subscription: Json) -> None:
    stripe.fail("GET *", 429, reason="global-rate")
    stripe.fail("GET *", 429, code="lock_timeout")
    told = []
    for _ in range(2):
        with pytest.raises(sdk.RateLimitError) as limited:
            client.v1.subscriptions.retrieve(subscription["id"])
        headers = limited.value.headers or {}
        told.append((limited.value.error and limited.value.error.code, headers.get("Stripe-Rate-Limited-Reason")))
    assert told == [("rate_limit", "global-rate"), ("lock_timeout", None)]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, sdk.AuthenticationError),
        (402, sdk.CardError),
        (403, sdk.PermissionError),
        (404, sdk.InvalidRequestError),
        (500, sdk.APIError),
        (503, sdk.APIError),
    ],
)
def test_each_status_is_the_clients_own_error(
    stripe: FakeStripe, client: sdk.StripeClient, subscription: Json, status: int, error: type[sdk.StripeError]
) -> None:
    stripe.fail("GET *", status)
    with pytest.raises(error):
        client.v1.subscriptions.retrieve(subscription["id"])
    assert client.v1.subscriptions.retrieve(subscription["id"]).id == subscription["id"]


def test_a_server_error_under_a_key_is_answered_again(stripe: FakeStripe, client: sdk.StripeClient) -> None:
    stripe.fail("POST /v1/customers", 500)
    for _ in range(2):
        with pytest.raises(sdk.APIError):
            client.v1.customers.create({}, {"idempotency_key": "customer:1"})
    assert len(stripe.customers) == 0
    stripe.advance(hours=25)
    client.v1.customers.create({}, {"idempotency_key": "customer:1"})
    assert len(stripe.customers) == 1


def test_a_key_that_is_in_flight_is_refused(stripe: FakeStripe, rest: httpx.Client) -> None:
    stripe.fail("POST /v1/customers", slow=0.5)
    headers = {"Idempotency-Key": "customer:2"}
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(rest.post("/v1/customers", headers=headers).status_code))
    thread.start()
    while not stripe.count("POST /v1/customers"):
        time.sleep(0.01)
    stripe.fail("POST /v1/customers", slow=0.01)
    second = rest.post("/v1/customers", headers=headers)
    thread.join()
    assert (first, second.status_code, second.json()["error"]["code"]) == ([200], 409, "idempotency_key_in_use")


def test_broken_json_a_redirect_and_the_other_mode(stripe: FakeStripe, rest: httpx.Client, subscription: Json) -> None:
    address = f"/v1/subscriptions/{subscription['id']}"
    stripe.fail("GET *", garbled=True)
    stripe.fail("GET *", 302, location="http://127.0.0.1:9/elsewhere")
    stripe.fail("GET *", wrong_mode=True)
    broken, redirect, other = (rest.get(address) for _ in range(3))
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        broken.json()
    assert redirect.headers["Location"] == "http://127.0.0.1:9/elsewhere"
    assert (other.json()["livemode"], other.json()["items"]["data"][0]["price"]["livemode"]) == (True, True)
    with pytest.raises(ValueError, match="location"):
        stripe.fail("GET *", 307)


def test_a_stale_page_shows_what_was(stripe: FakeStripe, client: sdk.StripeClient, subscription: Json) -> None:
    stripe.fail("GET /v1/subscriptions?*", stale=True)
    stripe.dashboard_cancel(subscription, "now")
    asked: sdk.params.SubscriptionListParams = {"customer": subscription["customer"], "status": "all"}
    seen = [client.v1.subscriptions.list(asked).data[0].status for _ in range(2)]
    assert seen == ["active", "canceled"]


def test_more_calls_than_the_limit_are_refused_and_counted(stripe: FakeStripe, rest: httpx.Client) -> None:
    stripe.calls_per_second = 3
    assert [rest.get("/v1/prices").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert (stripe.over_limit, stripe.busiest_second()) == (2, 5)


def test_keys_are_known_revoked_or_too_narrow(stripe: FakeStripe, rest: httpx.Client, subscription: Json) -> None:
    stripe.restricted["rk_test_narrow"] = {"subscription": "read"}
    address = f"/v1/subscriptions/{subscription['id']}"
    assert rest.get(address, auth=("rk_test_narrow", "")).status_code == 200
    refused = rest.delete(address, auth=("rk_test_narrow", ""))
    assert refused.status_code == 403
    assert "rak_subscription_write" in refused.json()["error"]["message"]
    assert "rk_test_narrow" not in refused.text
    assert rest.get(address, auth=("sk_test_other", "")).status_code == 401
    stripe.revoked.add(stripe.api_key)
    assert rest.get(address).json()["error"]["code"] == "api_key_expired"


def test_another_version_is_refused(rest: httpx.Client) -> None:
    assert rest.get("/v1/prices", headers={"Stripe-Version": "2020-08-27"}).status_code == 400


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"cancel_at_period_ends": "true"}, "parameter_unknown", "cancel_at_period_ends"),
        ({"cancellation_details[feedbak]": "unused"}, "parameter_unknown", "cancellation_details[feedbak]"),
        ({"cancellation_details[feedback]": "bored"}, None, "cancellation_details[feedback]"),
        ({"cancel_at": "tomorrow"}, "parameter_invalid_integer", "cancel_at"),
        ({"cancel_at_period_end": "yes"}, None, "cancel_at_period_end"),
    ],
)
def test_what_is_not_in_the_description_is_not_taken(
    rest: httpx.Client, subscription: Json, form: dict[str, str], code: str | None, param: str
) -> None:
    answer = rest.post(f"/v1/subscriptions/{subscription['id']}", data=form)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error.get("code")) == (400, "invalid_request_error", code)
    assert error["param"] == param


def test_events_are_signed_with_each_secret(stripe: FakeStripe, subscription: Json) -> None:
    stripe.webhook_secrets = ["whsec_old", "whsec_new"]
    (told,) = stripe.take("customer.subscription.created")
    moment, *marks = told.signature.split(",")
    for secret, mark in zip(stripe.webhook_secrets, marks, strict=True):
        signed = hmac.new(secret.encode(), moment[2:].encode() + b"." + told.body, hashlib.sha256).hexdigest()
        assert mark == f"v1={signed}"
    # And by Stripe's own check.
    event = sdk.Webhook.construct_event(told.body, told.signature, "whsec_new")
    assert event.data.object.id == subscription["id"]


def test_events_are_lost_doubled_and_told_twice(stripe: FakeStripe, subscription: Json) -> None:
    assert stripe.lose("invoice.paid") == 1
    told = stripe.take("customer.subscription.created", doubled=True)
    assert [delivery.event["id"] for delivery in told] == [told[0].event["id"]] * 2
    stripe.portal_cancel(subscription)
    one, other = stripe.take("customer.subscription.updated", twice_told=True)[-2:]
    assert one.event["id"] != other.event["id"]
    assert one.event["data"] == other.event["data"]
    missed = [event for event in stripe.events if event["id"] in stripe.undelivered]
    assert "invoice.paid" in {event["type"] for event in missed}


def test_events_come_shuffled_late_and_in_the_shapes_of_old_endpoints(stripe: FakeStripe, subscription: Json) -> None:
    old = stripe.take(shuffled=7, api_version="2020-08-27", at=NOW)
    assert [delivery.event["id"] for delivery in old] != sorted(delivery.event["id"] for delivery in old)
    (created,) = [delivery for delivery in old if delivery.event["type"] == "customer.subscription.created"]
    assert created.event["data"]["object"]["current_period_end"] == stripe.period_end(subscription)
    assert "current_period_end" not in created.event["data"]["object"]["items"]["data"][0]
    assert created.signature.startswith(f"t={int(NOW.timestamp())},")


def test_what_is_not_accepted_comes_again(stripe: FakeStripe, subscription: Json) -> None:
    closed = "http://127.0.0.1:9/"
    stripe.lose()
    stripe.portal_cancel(subscription)
    assert stripe.deliver(closed) == [0]
    assert stripe.take() == []
    stripe.advance(seconds=5 * 60)
    assert stripe.deliver(closed) == [0]
    stripe.advance(days=4)
    assert [delivery.event["type"] for delivery in stripe.take()][:1] == ["customer.subscription.updated"]


def test_a_renewal_stays_a_draft_for_three_days_where_nobody_accepts_the_news(
    stripe: FakeStripe, subscription: Json
) -> None:
    stripe.endpoint_accepts = False
    stripe.advance(stripe.period_end(subscription) + 71 * 3600)
    renewal = stripe.the(subscription["latest_invoice"])
    assert renewal["status"] == "draft"
    stripe.advance(hours=1)
    assert renewal["status"] == "paid"
