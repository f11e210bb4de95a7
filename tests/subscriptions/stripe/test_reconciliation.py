"""What was lost is found: a walk over everything that Stripe holds, a hundred to a page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.checks.breaker import BreakerOpen
from accounts.jobs import invariants
from subscriptions.billing.finding import Finding
from subscriptions.billing.holding import Holding
from subscriptions.billing.invoice import InvoicePayment
from subscriptions.models import Plan, Subscription
from subscriptions.stripe import checks, reconciliation
from subscriptions.stripe.client import StripeError, stripe_api
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.price import StripePrice, Unmapped, map_price
from tests.factories import AccountFactory
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.spec import Json

pytestmark = pytest.mark.django_db

BOUGHT = datetime(2026, 1, 31, 12, tzinfo=UTC)
NIGHT = BOUGHT + timedelta(hours=12)
DAY = timedelta(days=1)


def linked(stripe: FakeStripe) -> Json:
    customer = stripe.customer()
    StripeCustomer.objects.create(account=AccountFactory(), reference=customer["id"], livemode=False)
    return customer


def night(stripe: FakeStripe, at: datetime) -> int:
    stripe.advance(to=at)
    walked = reconciliation.reconcile(at)
    checks.check_due(at)
    return walked


@pytest.fixture
def price(stripe: FakeStripe) -> Json:
    stripe.now = BOUGHT
    return stripe.price(4900, lookup_key="pro-monthly")


def test_what_no_event_told_of_is_found_at_night(stripe: FakeStripe, price: Json) -> None:
    bought = stripe.subscribe(linked(stripe), price)
    stripe.lose()
    assert night(stripe, NIGHT) == 1
    assert Subscription.objects.get().plan_id == "pro"
    stripe.portal_cancel(bought["id"])
    stripe.lose()
    assert night(stripe, NIGHT + DAY) == 1
    assert Subscription.objects.get().ends_at == datetime(2026, 2, 28, 12, tzinfo=UTC)


def test_what_banks_did_while_we_were_away_is_found_at_night(stripe: FakeStripe, price: Json) -> None:
    """A dispute, and a refund that failed, change nothing of the subscription: the walk alone would not see them."""
    bought = stripe.subscribe(linked(stripe), price)
    made = stripe.refund(bought["latest_invoice"], 500)
    stripe.take()
    night(stripe, NIGHT)
    stripe.dispute(bought["latest_invoice"])
    stripe.settle_refund(made, "failed")
    stripe.lose()
    night(stripe, NIGHT + DAY)
    payment = InvoicePayment.objects.get()
    assert (payment.disputed, payment.refunded_cents) == (True, 0)
    assert Finding.objects.filter(code="payment-disputed").exists()
    stripe.close_dispute(stripe.disputes.of("charge", made["charge"])[0], "won")
    stripe.lose("charge.dispute.funds_reinstated", "charge.dispute.closed")
    night(stripe, NIGHT + 2 * DAY)
    assert not InvoicePayment.objects.get().disputed


def test_a_night_on_which_nothing_changed_asks_about_nobody(stripe: FakeStripe, price: Json) -> None:
    stripe.subscribe(linked(stripe), price)
    stripe.take()
    night(stripe, NIGHT)
    reconciliation.reconcile(NIGHT + DAY)
    assert not StripeCustomer.objects.exclude(check_at=None).exists()


def test_no_query_is_made_for_one_subscription(stripe: FakeStripe, price: Json) -> None:
    def queries(at: datetime) -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            reconciliation.reconcile(at)
        # How often the gate's row is asked depends on how long the calls take.
        return sum("stripegate" not in query["sql"] and "SAVEPOINT" not in query["sql"] for query in asked)

    for _number in range(3):
        stripe.subscribe(linked(stripe), price)
    night(stripe, NIGHT)
    few = queries(NIGHT + DAY)
    for _number in range(40):
        stripe.subscribe(linked(stripe), price)
    night(stripe, NIGHT + 2 * DAY)
    assert abs(queries(NIGHT + 3 * DAY) - few) <= 4


def test_a_key_of_another_account_ends_nothing(stripe: FakeStripe, price: Json) -> None:
    for _number in range(4):
        stripe.subscribe(linked(stripe), price)
    night(stripe, NIGHT)
    stripe.clear()
    stripe.now = NIGHT
    with pytest.raises(BreakerOpen):
        night(stripe, NIGHT + DAY)
    assert not Subscription.objects.exclude(ends_at=None).exists()
    assert not StripeCustomer.objects.exclude(check_at=None).exists()


def test_one_that_is_missing_ends_nothing_and_is_shown(stripe: FakeStripe, price: Json) -> None:
    stripe.subscribe(linked(stripe), price)
    night(stripe, NIGHT)
    Holding.objects.update(reference="sub_of_nobody")
    night(stripe, NIGHT + DAY)
    assert Subscription.objects.get(held_by="stripe").ends_at is None
    assert Finding.objects.filter(code="missing-there", reference="sub_of_nobody").exists()


def test_a_page_that_fails_leaves_it_at_that(stripe: FakeStripe, price: Json) -> None:
    stripe.subscribe(linked(stripe), price)
    night(stripe, NIGHT)
    stripe.fail("GET /v1/subscriptions*", 500)
    with pytest.raises(StripeError):
        reconciliation.reconcile(NIGHT + DAY)
    assert not Finding.objects.exists()


def test_who_is_not_linked_is_counted_in_one_finding(stripe: FakeStripe, price: Json) -> None:
    for _number in range(2):
        stripe.subscribe(stripe.customer(), price)
    night(stripe, NIGHT)
    assert Finding.objects.get(code="unlinked-subscriptions").facts == {"count": 2}


def test_a_customer_who_can_not_be_asked_about_holds_up_nobody_and_doctor_names_them(
    stripe: FakeStripe, price: Json
) -> None:
    first, second = linked(stripe), linked(stripe)
    for customer in (first, second):
        stripe.subscribe(customer, price)
    StripeCustomer.objects.all().ask(NIGHT)
    stripe.fail(f"GET /v1/subscriptions?*{first['id']}*", 500, times=None)
    assert checks.check_due(NIGHT) == 1
    assert Subscription.objects.get().account.stripe_customer.reference == second["id"]
    late = {violation.name for violation in invariants.violations(NIGHT + timedelta(hours=3))}
    assert "stripe-check" in late


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"interval": "month"}, ""),
        ({"interval": "year"}, ""),
        ({"interval": "month", "interval_count": 12}, ""),
        ({"interval": "week"}, Unmapped.INTERVAL),
        ({"interval": "month", "interval_count": 3}, Unmapped.INTERVAL),
        ({"interval": None}, Unmapped.NOT_RECURRING),
        ({"usage_type": "metered"}, Unmapped.METERED),
        ({"currency": "jpy"}, ""),
        ({"currency": "kwd"}, ""),
        ({"currency": "xyz"}, Unmapped.CURRENCY),
        ({"cents": None, "tiers": True}, Unmapped.NO_AMOUNT),
    ],
)
def test_what_can_not_be_sold_as_it_is_stays_unmapped_whatever_staff_say(
    stripe: FakeStripe, shape: dict[str, Any], why: str
) -> None:
    stripe.price(**{"cents": 4900, "lookup_key": "pro-x", **shape})
    reconciliation.read_prices(stripe_api(), NIGHT)
    price = StripePrice.objects.get()
    assert price.unmapped_because == why
    map_price(price, Plan.objects.get(pk="enterprise"), at=NIGHT)
    reconciliation.read_prices(stripe_api(), NIGHT + DAY)
    price.refresh_from_db()
    assert (price.unmapped_because, price.plan_id) == (why, "enterprise")


def test_a_price_that_nobody_has_mapped_is_shown_until_staff_say_what_it_is(stripe: FakeStripe) -> None:
    stripe.price(900, lookup_key="mugs")
    reconciliation.read_prices(stripe_api(), NIGHT)
    assert "stripe-unmapped" in {found.name for found in invariants.warnings(NIGHT)}
    map_price(StripePrice.objects.get(), None, at=NIGHT)
    reconciliation.read_prices(stripe_api(), NIGHT + DAY)
    assert "stripe-unmapped" not in {found.name for found in invariants.warnings(NIGHT)}
