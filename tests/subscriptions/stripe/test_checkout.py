"""Buying at Stripe, over HTTP, with Stripe's own library: from the page of plans to Checkout and back."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from pytest_django import Settings
from time_machine import Traveller

from accounts.blueprints.models import Grid
from accounts.core import clock
from accounts.customers.entitlements import entitlements_of
from accounts.models import Account, Event, User
from subscriptions.billing import buying
from subscriptions.billing.finding import Finding
from subscriptions.billing.invoice import Invoice
from subscriptions.billing.purchase import Purchase, PurchaseState
from subscriptions.ending.settling import settle_due
from subscriptions.models import Channel, Plan, Subscription
from subscriptions.stripe import checkout, checks
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.price import StripePrice
from tests.factories import BlueprintFactory, subscribe
from tests.fakes.stripe import FakeStripe
from tests.pages import form_on, forms_on, press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
PLANS = "/user/subscription/plans/"
BOUGHT = "/user/subscription/plans/bought/"
SETTINGS = "/user/subscription/"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def mapped(price: dict[str, Any], plan: str = "pro", *, interval: int = 1, active: bool = True) -> StripePrice:
    """What the walk over Stripe's prices has written down."""
    return StripePrice.objects.create(
        reference=price["id"],
        product=price["product"],
        plan_id=plan,
        interval=interval,
        cents=price["unit_amount"],
        currency=price["currency"].upper(),
        active=active,
        read_at=clock.now(),
    )


@pytest.fixture
def now(stripe: FakeStripe, settings: Settings) -> Iterator[Traveller]:
    """Our clock, at Stripe's."""
    settings.STRIPE_LIVEMODE = False
    with time_machine.travel(stripe.now, tick=False) as traveller:
        yield traveller


@pytest.fixture
def monthly(stripe: FakeStripe, now: Traveller) -> StripePrice:
    return mapped(stripe.price(4900, lookup_key="pro-monthly"))


def passes(stripe: FakeStripe, now: Traveller, length: timedelta) -> datetime:
    stripe.advance(to=stripe.now + length)
    now.move_to(stripe.now)
    return stripe.now


def plan_form(client: Client, plan: str = "pro") -> dict[str, str]:
    html = client.get(PLANS).content.decode()
    (form,) = [form for form in forms_on(html, PLANS) if form.hidden.get("plan") == plan]
    return form.sent()


def choose(client: Client, **typed: str) -> Purchase:
    answer = client.post(PLANS, {**plan_form(client), **typed})
    assert answer.status_code == 302, answer.content.decode()
    purchase = Purchase.objects.open().get()
    assert answer["Location"].endswith(f"/c/pay/{purchase.session_reference}")
    return purchase


def back(client: Client, stripe: FakeStripe, purchase: Purchase) -> str:
    """Where Checkout sends its buyer."""
    answer = client.get(stripe.success_address(purchase.session_reference).removeprefix("http://testserver"))
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_owner_buys_and_is_on_the_plan_with_the_invoice_on_the_page(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    purchase = choose(client, seats="3")
    session = stripe.the(purchase.session_reference)
    assert session["client_reference_id"] == purchase.reference
    assert session["expires_at"] == int(purchase.expires_at.timestamp())
    assert entitlements_of(account, clock.now()).plan == "free"
    stripe.complete(session)
    words = back(client, stripe, purchase)
    assert "You are on Pro" in words
    subscription = Subscription.objects.get()
    assert (subscription.channel, subscription.held_by, subscription.seats) == (Channel.DIRECT, "stripe", 3)
    purchase.refresh_from_db()
    assert (purchase.state, purchase.subscription) == (PurchaseState.COMPLETED, subscription)
    held = stripe.the(session["subscription"])
    assert held["metadata"] == {"offboard_account": str(account.pk), "offboard_purchase": purchase.reference}
    invoice = Invoice.objects.get()
    assert (invoice.cents_due, invoice.status) == (14700, "paid")
    words = client.get(SETTINGS).content.decode()
    assert invoice.number in words
    assert "$147.00" in words


def test_stripe_is_told_the_accounts_id_and_neither_names_nor_addresses(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    choose(sign_in(owner))
    customer = stripe.the(StripeCustomer.objects.get().reference)
    assert (customer["email"], customer["name"]) == (None, None)
    assert customer["metadata"] == {"offboard_account": str(account.pk)}


def test_an_account_has_one_customer_whatever_it_buys_and_however_often(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    choose(client)
    choose(client, seats="2")
    assert len(stripe.customers) == 1
    assert StripeCustomer.objects.count() == 1


def test_a_customer_that_was_deleted_at_stripe_gets_another_one_to_buy_with(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    choose(client)
    first = StripeCustomer.objects.get().reference
    StripeCustomer.objects.update(deleted_at=clock.now())
    choose(client, seats="2")
    assert StripeCustomer.objects.get().reference != first


def test_two_tabs_with_the_same_choice_lead_to_one_session(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    first, second = plan_form(client), plan_form(client)
    assert client.post(PLANS, first)["Location"] == client.post(PLANS, second)["Location"]
    assert len(stripe.sessions) == 1


def test_another_choice_expires_the_older_session_so_that_nobody_pays_twice(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    older = choose(client)
    choose(client, seats="2")
    older.refresh_from_db()
    assert older.state == PurchaseState.EXPIRED
    assert stripe.the(older.session_reference)["status"] == "expired"
    assert [session["status"] for session in stripe.sessions] == ["expired", "open"]


@pytest.mark.parametrize("seats", ["1", "2"], ids=["the same choice", "another choice"])
def test_what_was_paid_in_the_first_tab_is_not_paid_again_in_the_second(
    seats: str, stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    second_tab = plan_form(client)
    stripe.complete(choose(client).session_reference)
    answer = client.post(PLANS, {**second_tab, "seats": seats})
    assert answer.status_code == 409
    assert "The account has a Pro subscription already." in answer.content.decode()
    assert len(stripe.sessions) == 1
    assert Subscription.objects.count() == 1


def test_the_session_of_another_account_begins_nothing_for_whoever_knows_its_number(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, stranger: User, sign_in: SignIn
) -> None:
    theirs = sign_in(stranger)
    paid = choose(theirs)
    stripe.complete(paid.session_reference)
    assert sign_in(owner).get(BOUGHT, {"purchase": paid.reference}).status_code == 404
    # Nor for a row of ours into which it got: who paid is what its customer says.
    Purchase.objects.filter(pk=paid.pk).update(account=account)
    StripeCustomer.objects.create(account=account, reference="cus_mine", livemode=False)
    words = sign_in(owner).get(BOUGHT, {"purchase": paid.reference}).content.decode()
    assert "You are on" not in words
    assert not Subscription.objects.exists()
    assert Finding.objects.get().code == "foreign-session"


def test_a_session_that_completes_an_hour_later_begins_the_subscription_though_nobody_looks(
    stripe: FakeStripe, now: Traveller, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    """No message of Stripe's comes either."""
    purchase = choose(sign_in(owner))
    assert buying.confirm_due(passes(stripe, now, 10 * HOUR / 60)) == 0
    passes(stripe, now, 45 * HOUR / 60)
    stripe.complete(purchase.session_reference)
    assert buying.confirm_due(passes(stripe, now, HOUR / 2)) == 1
    assert entitlements_of(account, clock.now()).plan == "pro"


def test_a_session_that_nobody_pays_ends_by_itself(
    stripe: FakeStripe, now: Traveller, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    purchase = choose(client)
    assert "nothing has been charged so far" in back(client, stripe, purchase)
    assert buying.confirm_due(passes(stripe, now, 2 * HOUR)) == 1
    assert Purchase.objects.get().state == PurchaseState.EXPIRED


def test_coming_back_after_the_end_is_a_new_subscription_of_the_same_customer_and_lifts_read_only(
    stripe: FakeStripe, now: Traveller, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE, name="Data lake")
    client = sign_in(owner)
    first = choose(client)
    stripe.complete(first.session_reference)
    back(client, stripe, first)
    stripe.portal_cancel(stripe.the(first.session_reference)["subscription"], feedback="unused")
    checks.check(StripeCustomer.objects.get(), clock.now())
    settle_due(passes(stripe, now, 40 * DAY))
    client = sign_in(owner)
    page = f"/blueprints/{blueprint.pk}/"
    assert "This blueprint is read-only" in client.get(page).content.decode()

    second = choose(client)
    stripe.complete(second.session_reference)
    assert "Welcome back." in back(client, stripe, second)

    assert "This blueprint is read-only" not in client.get(page).content.decode()
    assert len(stripe.customers) == 1
    assert Subscription.objects.of(account).count() == 2
    assert Subscription.objects.live(clock.now()).get() == Purchase.objects.get(pk=second.pk).subscription


def test_an_answer_that_is_lost_leaves_no_page_on_which_somebody_pays_unseen(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    sent = plan_form(client)
    stripe.fail("POST /v1/checkout/sessions", disconnect=True, carried_out=True)
    answer = client.post(PLANS, sent)
    assert answer.status_code == 503
    assert "Nothing was charged." in answer.content.decode()
    assert Purchase.objects.get().state == PurchaseState.FAILED
    # Pressed again: another purchase, and the one that was answered is the one that can be paid.
    purchase = choose(client)
    stripe.complete(purchase.session_reference)
    assert "You are on Pro" in back(client, stripe, purchase)


@pytest.mark.parametrize("fault", [{"disconnect": True}, {"status": 500}], ids=["no answer", "500"])
def test_whoever_comes_back_while_stripe_is_away_is_told_so_and_begins_when_it_is_back(
    fault: dict[str, Any], stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    purchase = choose(client)
    stripe.complete(purchase.session_reference)
    stripe.fail("GET /v1/checkout/sessions/*", **fault)
    assert "Please do not pay again." in back(client, stripe, purchase)
    assert "You are on Pro" in back(client, stripe, purchase)


def test_a_price_that_was_archived_meanwhile_is_refused_in_words(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    sent = plan_form(client)
    stripe.the(monthly.reference)["active"] = False
    answer = client.post(PLANS, sent)
    assert answer.status_code == 409
    assert "be bought just now. Nothing was charged." in answer.content.decode()
    assert Purchase.objects.get().state == PurchaseState.FAILED


def test_a_payment_that_arrives_while_a_marketplace_holds_the_account_is_a_finding_and_says_so(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    purchase = choose(client)
    subscribe(account, at=clock.now(), channel=Channel.AWS_MARKETPLACE)
    stripe.complete(purchase.session_reference)
    words = back(client, stripe, purchase)
    assert "Our support team has been told" in words
    assert Subscription.objects.count() == 1
    assert "paid-in-vain" in Finding.objects.values_list("code", flat=True)


# What is on sale.


def test_only_what_is_mapped_sold_and_has_an_amount_is_offered(stripe: FakeStripe, now: Traveller) -> None:
    mapped(stripe.price(4900))
    mapped(stripe.price(49000), interval=12, active=False)
    StripePrice.objects.create(
        reference="price_tiers", unmapped_because="no_amount", currency="USD", read_at=clock.now()
    )
    assert [(offer.plan.pk, offer.interval, offer.cents) for offer in checkout.offers(clock.now())] == [
        ("pro", 1, 4900)
    ]


def test_of_several_prices_the_one_on_our_list_is_sold_and_without_it_none(stripe: FakeStripe, now: Traveller) -> None:
    mapped(stripe.price(3900))
    ours = mapped(stripe.price(4900))
    assert [offer.reference for offer in checkout.offers(clock.now())] == [ours.reference]
    StripePrice.objects.filter(pk=ours.pk).update(cents=5100)
    assert list(checkout.offers(clock.now())) == []


def test_a_retired_plan_is_sold_no_more_whatever_stripe_has(stripe: FakeStripe, monthly: StripePrice) -> None:
    Plan.objects.filter(code="pro").update(retired_at=clock.now() - DAY)
    assert list(checkout.offers(clock.now())) == []


# The portal.


def test_the_owner_is_led_to_stripes_portal_and_back(
    stripe: FakeStripe, monthly: StripePrice, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    purchase = choose(client)
    stripe.complete(purchase.session_reference)
    back(client, stripe, purchase)
    answer = press(client, SETTINGS, "/user/subscription/payment/")
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{stripe.url}/p/session/")
    (session,) = stripe.portal_sessions
    assert session["return_url"] == f"http://testserver{SETTINGS}?account={account.pk}"
    # The address is a credential: nothing of it is kept.
    assert not Event.objects.filter(facts__icontains=session["id"]).exists()
    stripe.fail("POST /v1/billing_portal/sessions", disconnect=True)
    form = form_on(client, SETTINGS, "/user/subscription/payment/")
    assert client.post(form.action, form.sent()).status_code == 503
