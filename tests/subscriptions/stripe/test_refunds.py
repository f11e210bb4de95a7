"""Refunds through Stripe: once, whatever is lost or killed; never what others have taken back; and what comes later."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta

from accounts.customers.history import Actor
from accounts.models import Account, Notice
from subscriptions.billing.finding import Finding
from subscriptions.billing.holding import Holding
from subscriptions.billing.invoice import Invoice, InvoicePayment
from subscriptions.models import Ends, Refund, Subscription
from subscriptions.refunds.decisions import approve, propose
from subscriptions.refunds.paying import carry_out_due
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.provider import Stripe
from tests.factories import UserFactory, subscribe
from tests.fakes.stripe import FakeStripe

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
BOUGHT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def lead(db: None) -> Actor:
    return Actor.staff(UserFactory(email="lead@example.com", is_staff=True))


@pytest.fixture
def there(stripe: FakeStripe) -> Json:
    """A seat at $49.00 a month, bought at Stripe on 1 March."""
    stripe.now = BOUGHT
    subscription = stripe.subscribe(stripe.customer(), stripe.price(4900))
    stripe.advance(days=1)
    stripe.forget_requests()
    return subscription


@pytest.fixture
def subscription(account: Account, stripe: FakeStripe, there: Json) -> Subscription:
    """The same here, with its payment, as read."""
    found = subscribe(account, at=BOUGHT, cents=4900)
    Subscription.objects.filter(pk=found.pk).update(
        held_by="stripe",
        period_started_at=BOUGHT,
        period_ends_at=BOUGHT + relativedelta(months=1),
        first_paid_at=BOUGHT,
    )
    found.refresh_from_db()
    Holding.objects.create(
        subscription=found,
        provider="stripe",
        reference=there["id"],
        customer_reference=there["customer"],
        status="live",
        read_at=BOUGHT,
    )
    StripeCustomer.objects.create(account=account, reference=there["customer"], livemode=False)
    [said] = stripe.invoices
    invoice = Invoice.objects.create(
        subscription=found, provider="stripe", reference=said["id"], number="INV-1", status="paid",
        cents_due=said["amount_due"], cents_paid=said["amount_paid"], currency="USD", issued_at=BOUGHT, paid_at=BOUGHT,
    )  # fmt: skip
    InvoicePayment.objects.create(
        invoice=invoice, reference=payment(stripe), kind="payment_intent", cents=said["amount_paid"], paid_at=BOUGHT
    )
    return found


def payment(stripe: FakeStripe) -> str:
    [found] = stripe.payment_intents
    return str(found["id"])


def refunds(stripe: FakeStripe) -> list[Json]:
    return list(stripe.refunds)


def approved(subscription: Subscription, by: Actor, stripe: FakeStripe, cents: int = 4900) -> Refund:
    at = stripe.now
    refund, _new = propose(
        subscription, cents=cents, currency="USD", ends=Ends.NOW, payment_reference=payment(stripe), by=by, at=at
    )
    approve(refund, by=by, at=at)
    return refund


def codes() -> set[str]:
    return set(Finding.objects.open().values_list("code", flat=True))


def mails() -> list[str]:
    kinds = Notice.objects.filter(kind__startswith="subscriptions/").values_list("kind", flat=True)
    return sorted(kind.removeprefix("subscriptions/") for kind in kinds)


def test_a_card_is_paid_back_at_once(subscription: Subscription, lead: Actor, stripe: FakeStripe) -> None:
    refund = approved(subscription, lead, stripe)
    assert carry_out_due(stripe.now) == 1
    refund.refresh_from_db()
    [there] = stripe.refunds
    assert (there["amount"], there["reason"], there["metadata"]) == (
        4900, "requested_by_customer", {"offboard_refund": refund.reference}
    )  # fmt: skip
    assert (refund.provider_reference, refund.paid_at, refund.ended_at) == (there["id"], stripe.now, stripe.now)
    assert mails() == ["refund_approved", "refund_paid"]
    [order] = stripe.requested("POST /v1/refunds")
    assert order.idempotency_key == f"{refund.reference}:1"
    assert StripeCustomer.objects.get().check_at == stripe.now, "what is left is read again"


@pytest.mark.parametrize("state", ["pending", "requires_action"])
def test_what_stripe_has_accepted_is_not_called_paid(
    subscription: Subscription, lead: Actor, stripe: FakeStripe, state: str
) -> None:
    stripe.refunds_are = state
    refund = approved(subscription, lead, stripe)
    assert carry_out_due(stripe.now) == 1
    assert mails() == ["refund_accepted", "refund_approved"]
    assert codes() == ({"refund-needs-bank-details"} if state == "requires_action" else set())
    stripe.advance(days=3)
    stripe.settle_refund(refunds(stripe)[0])
    carry_out_due(stripe.now)
    refund.refresh_from_db()
    assert refund.paid_at == stripe.now
    assert mails() == ["refund_accepted", "refund_approved", "refund_paid"]


def test_a_refund_that_fails_three_weeks_later_is_known_by_the_next_day(
    subscription: Subscription, lead: Actor, stripe: FakeStripe
) -> None:
    refund = approved(subscription, lead, stripe)
    carry_out_due(stripe.now)
    stripe.advance(days=21)
    stripe.settle_refund(refunds(stripe)[0], "failed", reason="lost_or_stolen_card")
    carry_out_due(stripe.now)
    refund.refresh_from_db()
    assert (refund.failed_at, refund.failure) == (stripe.now, "lost_or_stolen_card")
    assert "refund_failed" in mails()
    assert codes() == {"refund-failed"}


@pytest.mark.parametrize("later", [timedelta(minutes=10), timedelta(hours=30)])
def test_an_answer_that_is_lost_after_the_money_went_pays_nothing_twice(
    subscription: Subscription, lead: Actor, stripe: FakeStripe, later: timedelta
) -> None:
    """Also when Stripe has forgotten the idempotency key, after a day."""
    refund = approved(subscription, lead, stripe, cents=1000)
    lost = stripe.fail("POST /v1/refunds", disconnect=True, carried_out=True)
    assert carry_out_due(stripe.now) == 0
    refund.refresh_from_db()
    assert refund.accepted_at is None
    stripe.heal(lost)
    stripe.now = stripe.now + later
    assert carry_out_due(stripe.now) == 1
    assert [there["amount"] for there in stripe.refunds] == [1000]
    assert stripe.count("POST /v1/refunds") == 1, "read first"


def test_while_stripe_is_away_nothing_ends_and_nothing_is_said(
    subscription: Subscription, lead: Actor, stripe: FakeStripe
) -> None:
    refund = approved(subscription, lead, stripe)
    away = stripe.away()
    assert carry_out_due(stripe.now) == 0
    subscription.refresh_from_db()
    refund.refresh_from_db()
    assert (subscription.ends_at, refund.failed_at, mails()) == (None, None, ["refund_approved"])
    stripe.heal(away)
    assert carry_out_due(stripe.now + HOUR) == 1


def test_what_the_bank_takes_back_is_not_paid_back_as_well(
    subscription: Subscription, lead: Actor, stripe: FakeStripe
) -> None:
    refund = approved(subscription, lead, stripe)
    dispute = stripe.dispute(payment(stripe))
    carry_out_due(stripe.now)
    refund.refresh_from_db()
    subscription.refresh_from_db()
    assert (refund.failure, refund.accepted_at, subscription.ends_at) == ("disputed", None, None)
    assert refunds(stripe) == []
    assert stripe.count("POST /v1/refunds") == 0
    # Won by us, it may be decided anew.
    stripe.close_dispute(dispute, "won")
    approved(subscription, lead, stripe)
    assert carry_out_due(stripe.now) == 1
    assert len(stripe.refunds) == 1


def test_an_inquiry_of_the_bank_does_not_stand_in_the_way(
    subscription: Subscription, lead: Actor, stripe: FakeStripe
) -> None:
    approved(subscription, lead, stripe)
    stripe.dispute(payment(stripe), status="warning_needs_response")
    assert carry_out_due(stripe.now) == 1
    assert [there["amount"] for there in stripe.refunds] == [4900]


def test_what_somebody_paid_back_in_the_dashboard_in_full_is_done(
    subscription: Subscription, lead: Actor, stripe: FakeStripe
) -> None:
    refund = approved(subscription, lead, stripe)
    theirs = stripe.refund(payment(stripe))
    assert carry_out_due(stripe.now) == 1
    refund.refresh_from_db()
    assert (refund.provider_reference, refund.paid_at) == (theirs["id"], stripe.now)
    assert len(stripe.refunds) == 1


def test_where_another_amount_is_gone_already_staff_decide(
    subscription: Subscription, lead: Actor, stripe: FakeStripe
) -> None:
    refund = approved(subscription, lead, stripe)
    stripe.refund(payment(stripe), 1000)
    carry_out_due(stripe.now)
    refund.refresh_from_db()
    assert (refund.failure, refund.accepted_at) == ("already_refunded", None)
    assert [there["amount"] for there in stripe.refunds] == [1000]


def test_a_price_with_tax_is_credited_by_a_note_that_names_the_refund(
    stripe: FakeStripe, account: Account, lead: Actor, request: pytest.FixtureRequest
) -> None:
    stripe.tax_percent = 20
    subscription = request.getfixturevalue("subscription")
    refund = approved(subscription, lead, stripe, cents=5880)
    assert carry_out_due(stripe.now) == 1
    [note] = stripe.credit_notes
    assert (note["amount"], note["total_taxes"][0]["amount"], note["refunds"][0]["refund"]) == (
        5880, 980, refunds(stripe)[0]["id"]
    )  # fmt: skip
    assert note["metadata"] == {"offboard_refund": refund.reference}
    stripe.advance(days=1)
    carry_out_due(stripe.now)
    assert len(stripe.credit_notes) == 1


def test_killed_between_the_money_and_the_credit_note_both_are_there_once(
    stripe: FakeStripe, account: Account, lead: Actor, request: pytest.FixtureRequest
) -> None:
    stripe.tax_percent = 20
    subscription = request.getfixturevalue("subscription")
    approved(subscription, lead, stripe, cents=5880)
    for lost in (
        stripe.fail("POST /v1/credit_notes", disconnect=True),
        stripe.fail("POST /v1/credit_notes", disconnect=True, carried_out=True),
    ):
        assert carry_out_due(stripe.now) == 0
        stripe.heal(lost)
        stripe.now = stripe.now + HOUR
    assert carry_out_due(stripe.now) == 1
    assert (len(stripe.refunds), len(stripe.credit_notes)) == (1, 1)


def test_without_tax_there_is_no_credit_note(subscription: Subscription, lead: Actor, stripe: FakeStripe) -> None:
    approved(subscription, lead, stripe)
    carry_out_due(stripe.now)
    assert list(stripe.credit_notes) == []


def test_a_key_without_the_right_is_shown_to_staff_and_ends_nothing(
    subscription: Subscription, lead: Actor, stripe: FakeStripe
) -> None:
    refund = approved(subscription, lead, stripe)
    stripe.fail("GET /v1/refunds", status=403)
    carry_out_due(stripe.now)
    refund.refresh_from_db()
    assert (refund.accepted_at, refund.failed_at) == (None, None)
    assert refund.last_error


def test_what_was_paid_is_listed_newest_first_with_what_is_left(subscription: Subscription, stripe: FakeStripe) -> None:
    InvoicePayment.objects.update(refunded_cents=900)
    [payable] = Stripe().refundable(subscription)
    assert (payable.reference, payable.cents, payable.left_cents, payable.refused_because) == (
        payment(stripe), 4900, 4000, ""
    )  # fmt: skip
