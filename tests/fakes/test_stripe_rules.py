"""What the fake Stripe refuses and how it ends things, each as Stripe does; and its pages and its control."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import stripe as sdk

from tests.factories import NOW
from tests.fakes.stripe import VERSION, FakeStripe
from tests.fakes.stripe.spec import Json

HOUR = 3600


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
def v1(stripe: FakeStripe) -> sdk._v1_services.V1Services:
    client = sdk.StripeClient(
        stripe.api_key, base_addresses={"api": stripe.url}, stripe_version=VERSION, max_network_retries=0
    )
    return client.v1


@pytest.fixture
def rest(stripe: FakeStripe) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stripe.url, auth=(stripe.api_key, ""), trust_env=False) as client:
        yield client


@pytest.fixture
def customer(stripe: FakeStripe) -> Json:
    return stripe.customer(email="olga@example.org")


@pytest.fixture
def subscription(stripe: FakeStripe, customer: Json) -> Json:
    return stripe.subscribe(customer, stripe.price(4900))


def refusal(answer: httpx.Response) -> tuple[int, str | None, str]:
    error = answer.json()["error"]
    return answer.status_code, error.get("code"), error["message"]


# Ends


def test_the_portal_sets_a_date_and_no_flag_under_flexible_billing_and_both_under_classic(
    stripe: FakeStripe, customer: Json, subscription: Json
) -> None:
    classic = stripe.subscribe(customer, subscription["items"]["data"][0]["price"], mode="classic")
    for one, flag in ((subscription, False), (classic, True)):
        stripe.portal_cancel(one, feedback="too_expensive")
        assert (one["cancel_at"], one["cancel_at_period_end"]) == (stripe.period_end(one), flag)
        assert one["cancellation_details"]["feedback"] == "too_expensive"
        stripe.advance(stripe.period_end(one))
        assert (one["status"], one["ended_at"]) == ("canceled", one["cancel_at"])


def test_clearing_the_flag_leaves_a_date_that_the_portal_has_set(
    stripe: FakeStripe, v1: sdk._v1_services.V1Services, subscription: Json
) -> None:
    stripe.portal_cancel(subscription)
    assert v1.subscriptions.update(subscription["id"], {"cancel_at_period_end": False}).cancel_at
    assert v1.subscriptions.update(subscription["id"], {"cancel_at": ""}).cancel_at is None


def test_an_end_at_the_period_asked_for_after_it_has_rolled_over_is_a_whole_cycle_later(
    stripe: FakeStripe, v1: sdk._v1_services.V1Services, subscription: Json
) -> None:
    end = stripe.period_end(subscription)
    stripe.advance(end + 1)
    said = v1.subscriptions.update(subscription["id"], {"cancel_at_period_end": True})
    assert said.cancel_at
    assert said.cancel_at > end + 27 * 24 * HOUR


def test_what_has_ended_takes_only_its_metadata_and_the_reason(
    stripe: FakeStripe, rest: httpx.Client, subscription: Json
) -> None:
    address = f"/v1/subscriptions/{subscription['id']}"
    assert rest.delete(address).json()["status"] == "canceled"
    assert refusal(rest.delete(address))[:2] == (404, "resource_missing")
    status, _, message = refusal(rest.post(address, data={"cancel_at_period_end": "true"}))
    assert (status, message) == (
        400,
        "A canceled subscription can only update its cancellation_details and metadata.",
    )
    said = rest.post(address, data={"metadata[a]": "b", "cancellation_details[feedback]": "unused"})
    assert (said.status_code, said.json()["metadata"]) == (200, {"a": "b"})


def test_a_schedule_refuses_ends_and_takes_its_own_along_when_released(
    stripe: FakeStripe, rest: httpx.Client, subscription: Json
) -> None:
    schedule = stripe.schedule_for(subscription, end_behavior="cancel")
    status, _, message = refusal(
        rest.post(f"/v1/subscriptions/{subscription['id']}", data={"cancel_at_period_end": "true"})
    )
    assert status == 400
    assert "managed by the subscription schedule" in message
    assert subscription["cancel_at"]
    assert rest.post(f"/v1/subscription_schedules/{schedule['id']}/release").json()["status"] == "released"
    assert (subscription["cancel_at"], subscription["schedule"]) == (None, None)


def test_an_end_at_once_freezes_the_draft_which_can_be_neither_deleted_nor_voided(
    stripe: FakeStripe, rest: httpx.Client, subscription: Json
) -> None:
    stripe.advance(stripe.period_end(subscription))
    draft = stripe.the(subscription["latest_invoice"])
    rest.delete(f"/v1/subscriptions/{subscription['id']}")
    assert rest.delete(f"/v1/invoices/{draft['id']}").status_code == 400
    assert rest.post(f"/v1/invoices/{draft['id']}/void").status_code == 400
    stripe.advance(days=10)
    assert (draft["status"], draft["auto_advance"], draft["amount_paid"]) == ("draft", False, 0)


def test_a_first_payment_that_is_missing_for_23_hours_expires_it(stripe: FakeStripe) -> None:
    begun = stripe.subscribe(stripe.customer(card="declines"), stripe.price(4900))
    assert begun["status"] == "incomplete"
    stripe.advance(hours=23)
    assert begun["status"] == "incomplete_expired"
    assert stripe.the(begun["latest_invoice"])["status"] == "void"


@pytest.mark.parametrize("after", ["canceled", "unpaid", "past_due"])
def test_the_account_says_what_follows_the_last_retry(
    stripe: FakeStripe, customer: Json, subscription: Json, after: str
) -> None:
    stripe.after_retries = after
    stripe.pay_with(customer, "declines")
    stripe.advance(stripe.period_end(subscription) + HOUR)
    stripe.advance(days=15)
    assert subscription["status"] == after
    if after == "unpaid":
        stripe.advance(days=31)
        assert stripe.the(subscription["latest_invoice"])["status"] == "draft"
        stripe.pay(subscription["latest_invoice"], card="pays")
        assert subscription["status"] == "active"


def test_a_trial_ends_in_its_first_payment_and_says_so_three_days_ahead(stripe: FakeStripe, customer: Json) -> None:
    tried = stripe.subscribe(customer, stripe.price(4900), trial_end=NOW + timedelta(days=14))
    assert (tried["status"], stripe.the(tried["latest_invoice"])["amount_paid"]) == ("trialing", 0)
    stripe.advance(days=11)
    assert stripe.take("customer.subscription.trial_will_end")
    stripe.advance(days=3, hours=1)
    assert (tried["status"], stripe.the(tried["latest_invoice"])["amount_paid"]) == ("active", 4900)


def test_a_deleted_customer_answers_so_and_its_subscriptions_are_still_listed(
    rest: httpx.Client, customer: Json, subscription: Json
) -> None:
    address = f"/v1/customers/{customer['id']}"
    assert rest.delete(address).json() == {"id": customer["id"], "object": "customer", "deleted": True}
    assert rest.get(address).json()["deleted"] is True
    assert rest.get("/v1/subscriptions", params={"customer": customer["id"]}).json()["data"] == []
    listed = rest.get("/v1/subscriptions", params={"customer": customer["id"], "status": "all"}).json()["data"]
    assert [one["status"] for one in listed] == ["canceled"]
    assert subscription["status"] == "canceled"


# Money


def test_no_more_is_paid_back_than_was_paid(stripe: FakeStripe, rest: httpx.Client, subscription: Json) -> None:
    intent = (stripe.intent_of(stripe.the(subscription["latest_invoice"])) or {})["id"]

    def refund(amount: int) -> tuple[int, str | None, str]:
        answer = rest.post("/v1/refunds", data={"payment_intent": intent, "amount": amount})
        return (200, None, answer.json()["status"]) if answer.status_code == 200 else refusal(answer)

    assert refund(4000) == (200, None, "succeeded")
    assert refund(901)[2] == "Refund amount ($9.01) is greater than unrefunded amount on charge ($9.00)"
    assert refund(900) == (200, None, "succeeded")
    assert refund(1)[:2] == (400, "charge_already_refunded")


def test_a_disputed_charge_is_not_paid_back_and_an_inquiry_is(
    stripe: FakeStripe, rest: httpx.Client, subscription: Json
) -> None:
    charge = stripe.charge_of(subscription["latest_invoice"])
    asked = stripe.dispute(charge, status="warning_needs_response")
    assert rest.post("/v1/refunds", data={"charge": charge["id"], "amount": 100}).status_code == 200
    stripe.close_dispute(asked, "warning_closed")
    stripe.dispute(charge)
    assert refusal(rest.post("/v1/refunds", data={"charge": charge["id"]}))[:2] == (400, "charge_disputed")


def test_a_refund_fails_after_it_had_succeeded_and_the_charge_has_it_again(
    stripe: FakeStripe, subscription: Json
) -> None:
    refund = stripe.refund(subscription["latest_invoice"], 4900)
    charge = stripe.charge_of(subscription["latest_invoice"])
    assert charge["refunded"] is True
    stripe.take()
    stripe.settle_refund(refund, "failed", reason="lost_or_stolen_card")
    assert (charge["refunded"], charge["amount_refunded"]) == (False, 0)
    assert [told.event["type"] for told in stripe.take()] == ["refund.updated", "refund.failed"]


def test_a_bank_debit_is_on_its_way_for_days(stripe: FakeStripe) -> None:
    paid = stripe.subscribe(stripe.customer(card="debits"), stripe.price(4900))
    invoice = stripe.the(paid["latest_invoice"])
    assert (paid["status"], invoice["status"]) == ("active", "open")
    assert (stripe.intent_of(invoice) or {})["status"] == "processing"
    stripe.advance(days=4)
    assert invoice["status"] == "paid"


# Lists


def test_lists_come_newest_first_a_page_at_a_time(stripe: FakeStripe, rest: httpx.Client, customer: Json) -> None:
    price = stripe.price(4900)
    made = [stripe.subscribe(customer, price)["id"] for _ in range(5)]
    asked = {"customer": customer["id"], "status": "all", "limit": "2"}
    seen: list[str] = []
    more = True
    while more:
        page = rest.get("/v1/subscriptions", params=asked | ({"starting_after": seen[-1]} if seen else {})).json()
        seen += [one["id"] for one in page["data"]]
        more = page["has_more"]
    assert seen == made[::-1]
    before = rest.get("/v1/subscriptions", params=asked | {"ending_before": made[0]}).json()
    assert ([one["id"] for one in before["data"]], before["has_more"]) == ([made[2], made[1]], True)
    assert rest.get("/v1/subscriptions", params={"limit": "101"}).status_code == 400
    assert refusal(rest.get("/v1/subscriptions", params={"starting_after": "sub_none"}))[1] == "resource_missing"


# Checkout, by clicking


def test_checkout_is_paid_on_its_page_and_leads_back(
    stripe: FakeStripe, rest: httpx.Client, customer: Json, v1: sdk._v1_services.V1Services
) -> None:
    session = v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer["id"],
            "line_items": [{"price": stripe.price(4900)["id"], "quantity": 2}],
            "success_url": "https://blueprints.example/bought/?session={CHECKOUT_SESSION_ID}",
            "subscription_data": {"metadata": {"offboard_account": "a"}},
        }
    )
    assert session.url
    assert "USD 98.00" in rest.get(session.url).text
    declined = rest.post(session.url, data={"card": "declines"})
    assert "declined" in declined.text
    # A failed attempt leaves no subscription behind.
    assert len(stripe.subscriptions) == 0
    paid = rest.post(session.url, data={"card": "pays"})
    assert paid.headers["Location"] == f"https://blueprints.example/bought/?session={session.id}"
    (bought,) = stripe.subscriptions
    assert (bought["status"], bought["metadata"]) == ("active", {"offboard_account": "a"})
    said = v1.checkout.sessions.retrieve(session.id)
    assert (said.status, said.payment_status, said.subscription) == ("complete", "paid", bought["id"])
    assert refusal(rest.post(f"/v1/checkout/sessions/{session.id}/expire"))[0] == 400


def test_a_session_that_nobody_pays_expires(stripe: FakeStripe, v1: sdk._v1_services.V1Services) -> None:
    asked: sdk.params.checkout.SessionCreateParams = {
        "mode": "subscription",
        "line_items": [{"price": stripe.price(4900)["id"], "quantity": 1}],
        "success_url": "https://blueprints.example/",
        "expires_at": int((NOW + timedelta(minutes=30)).timestamp()),
    }
    session = v1.checkout.sessions.create(asked)
    stripe.advance(seconds=30 * 60)
    assert v1.checkout.sessions.retrieve(session.id).status == "expired"
    with pytest.raises(sdk.InvalidRequestError, match="at least 30 minutes"):
        v1.checkout.sessions.create(asked)


def test_the_portal_cancels_and_keeps(
    stripe: FakeStripe, rest: httpx.Client, customer: Json, subscription: Json
) -> None:
    address = stripe.open_portal({"customer": customer["id"], "return_url": "https://blueprints.example/"})["url"]
    assert "Cancel plan" in rest.get(address).text
    rest.post(address, data={"act": "cancel", "subscription": subscription["id"], "feedback": "unused"})
    assert (subscription["cancel_at"], subscription["cancellation_details"]["feedback"]) == (
        stripe.period_end(subscription),
        "unused",
    )
    rest.post(address, data={"act": "keep", "subscription": subscription["id"]})
    assert subscription["cancel_at"] is None


# By hand


def test_the_control_plays_it(stripe: FakeStripe, rest: httpx.Client, subscription: Json) -> None:
    def act(verb: str, **arguments: object) -> httpx.Response:
        return rest.post(f"/_control/{verb}", json=arguments)

    assert act("dashboard_cancel", subscription=subscription["id"], at="period_end").status_code == 200
    assert subscription["cancel_at_period_end"] is True
    act("hurry", subscription=subscription["id"], seconds=60)
    act("advance", seconds=60)
    assert subscription["status"] == "canceled"
    act("set", refunds_are="pending")
    assert act("refund", payment=subscription["latest_invoice"], amount=500).json()["result"]["status"] == "pending"
    act("away")
    with pytest.raises(httpx.TransportError):
        rest.get("/v1/prices")
    act("heal")
    assert rest.get("/v1/prices").status_code == 200
    assert act("dance").status_code == act("set", colour="red").status_code == 400
    assert rest.get("/_control/state").json()["refunds"][0]["amount"] == 500


@pytest.mark.slow
def test_it_runs_by_itself_and_knows_again_what_it_knew(tmp_path: Path) -> None:
    kept = tmp_path / "stripe.pickle"
    sold = []
    for _ in range(2):
        command = [sys.executable, "-m", "tests.fakes.stripe", "--port", "0", "--state", str(kept)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout
            url = running.stdout.readline().split()[2].rstrip(".")
            with httpx.Client(trust_env=False, timeout=20) as client:
                state = client.get(f"{url}/_control/state").json()
            assert abs(time.time() - datetime.fromisoformat(state["now"]).timestamp()) < 60
            sold.append([price["id"] for price in state["prices"]])
            running.terminate()
            assert running.communicate(timeout=30)[0].endswith("Stopped.\n")
    assert sold[0] == sold[1]
    assert len(sold[0]) == 3
