"""An owner whose subscription has ended buys again in a browser: the plans, Stripe's page, and back (a Stripe to test
against, whose Checkout is a page to click on; the strict Content-Security-Policy holds all the way)."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer
from time_machine import Traveller

from accounts.core import clock as server_clock
from accounts.models import Account, User
from subscriptions.ending.settling import settle_due
from subscriptions.models import Subscription
from subscriptions.stripe.price import StripePrice
from tests.browser.conftest import OpenAs
from tests.factories import subscribe
from tests.fakes.stripe import FakeStripe

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def test_an_owner_buys_again_and_finds_card_and_invoices(
    open_as: OpenAs, owner: User, account: Account, live_server: LiveServer, settings: Settings, clock: Traveller
) -> None:
    with FakeStripe() as stripe:
        clock.move_to(stripe.now)
        settings.SITE_URL = live_server.url
        settings.STRIPE_API_URL, settings.STRIPE_API_KEY = stripe.url, stripe.api_key
        settings.STRIPE_LIVEMODE, settings.STRIPE_CALLS_A_SECOND = False, 999.0
        at = server_clock.now()
        price: dict[str, Any] = stripe.price(4900, lookup_key="pro-monthly")
        StripePrice.objects.create(
            reference=price["id"], plan_id="pro", interval=1, cents=4900, currency="USD", read_at=at
        )
        subscribe(account, at=at - timedelta(days=60), ends_at=at - timedelta(days=1))
        settle_due(at)
        page = open_as(owner)

        page.goto("/user/subscription/")
        page.get_by_role("link", name="Subscribe again").click()
        page.get_by_label("Seats").fill("2")
        page.get_by_role("button", name="Subscribe to Pro").click()
        page.wait_for_url(f"{stripe.url}/c/pay/*")
        page.get_by_role("button", name="Pay").first.click()
        expect(page.get_by_role("heading", name="You are on Pro")).to_be_visible()

        page.get_by_role("link", name="To Subscription Settings").click()
        expect(page.get_by_role("cell", name="$98.00")).to_be_visible()
        page.get_by_role("button", name="Change the card, or download invoices").click()
        page.wait_for_url(f"{stripe.url}/p/session/*")
        assert Subscription.objects.live(server_clock.now()).get().seats == 2
