"""What others paid back at Stripe, and what banks ask back, is known before anybody proposes a refund."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.inbox import inbox
from accounts.models import Account, Notice
from subscriptions.billing.finding import Finding, close
from subscriptions.billing.invoice import InvoicePayment
from subscriptions.models import Subscription
from subscriptions.refunds import decisions
from subscriptions.refunds.decisions import propose
from subscriptions.refunds.paying import carry_out_due
from subscriptions.refunds.refund import Ends
from subscriptions.stripe import checks, money_back
from subscriptions.stripe.client import stripe_api
from subscriptions.stripe.customer import StripeCustomer
from tests.factories import AccountFactory, owner_of
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.spec import Json
from tests.subscriptions.stripe.test_refunds import approved, lead, payment, subscription, there

__all__ = ["lead", "subscription", "there"]

pytestmark = pytest.mark.django_db


def read_again(stripe: FakeStripe, there: Json, account: Account) -> int:
    """How many payments have changed."""
    read = money_back.read(stripe_api(), there["customer"], stripe.now)
    return money_back.take_over(account, read, at=stripe.now)


def findings() -> list[tuple[str, str]]:
    return sorted(Finding.objects.values_list("code", "reference"))


def test_a_refund_in_the_dashboard_leaves_less_and_is_a_finding_once(
    stripe: FakeStripe, there: Json, subscription: Subscription, account: Account, lead: Actor
) -> None:
    theirs = stripe.refund(payment(stripe), 900)
    assert [read_again(stripe, there, account) for _time in range(2)] == [1, 0]
    assert InvoicePayment.objects.get().left_cents == 4000
    assert findings() == [("refunded-elsewhere", theirs["id"])]
    assert Finding.objects.get().facts["cents"] == 900
    assert subscription.ends_at is None, "it ends nothing by itself"
    with pytest.raises(decisions.NotLeft, match=r"\$40\.00"):
        propose(
            subscription, cents=4001, currency="USD", ends=Ends.NOW, payment_reference=payment(stripe), by=lead,
            at=stripe.now,
        )  # fmt: skip
    # Staff have seen to it: it is not told again, also when it has moved once more.
    close(Finding.objects.get(), by=lead.user, at=stripe.now)
    ours = stripe.refund(payment(stripe), 100, metadata={"offboard_refund": "REF-1"})
    assert ours["amount"] == 100
    assert read_again(stripe, there, account) == 1
    assert findings() == [("refunded-elsewhere", theirs["id"])]


def test_a_refund_of_our_own_is_no_news_to_staff(
    stripe: FakeStripe, there: Json, subscription: Subscription, account: Account, lead: Actor
) -> None:
    approved(subscription, lead, stripe)
    carry_out_due(stripe.now)
    assert read_again(stripe, there, account) == 1
    assert (InvoicePayment.objects.get().left_cents, findings()) == (0, [])


def test_a_dispute_stands_in_the_way_until_it_is_won(
    stripe: FakeStripe, there: Json, subscription: Subscription, account: Account
) -> None:
    dispute = stripe.dispute(payment(stripe))
    assert read_again(stripe, there, account) == 1
    assert InvoicePayment.objects.get().disputed
    assert findings() == [("payment-disputed", dispute["id"])]
    stripe.close_dispute(dispute, "won")
    assert read_again(stripe, there, account) == 1
    assert not InvoicePayment.objects.get().disputed


def test_a_refund_that_failed_is_left_again(
    stripe: FakeStripe, there: Json, subscription: Subscription, account: Account
) -> None:
    theirs = stripe.refund(payment(stripe))
    read_again(stripe, there, account)
    assert InvoicePayment.objects.get().left_cents == 0
    stripe.settle_refund(theirs, "failed")
    read_again(stripe, there, account)
    assert InvoicePayment.objects.get().left_cents == 4900


def test_where_nothing_has_moved_one_list_is_all_that_is_asked(
    stripe: FakeStripe, there: Json, subscription: Subscription, account: Account
) -> None:
    stripe.forget_requests()
    assert read_again(stripe, there, account) == 0
    assert [request.path for request in stripe.requests] == ["/v1/charges"]


def hear(stripe: FakeStripe, client: Client) -> None:
    """What Stripe has to tell is told at our door, and whatever is due by that is done."""
    for delivery in stripe.take():
        client.post(
            "/billing/stripe/webhook/", delivery.body, content_type="application/json", headers=delivery.headers
        )
    # Heard by our own clock, which is Stripe's here.
    at = stripe.now + timedelta(minutes=1)
    inbox.process_due(at)
    checks.check_due(at)
    carry_out_due(at)


def settings_page(account: Account) -> str:
    """What its owner reads."""
    owner = account.owner()
    assert owner is not None
    client = Client()
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client.get("/user/subscription/").content.decode()


def test_heard_at_the_door_a_refund_in_the_dashboard_is_known(stripe: FakeStripe, client: Client) -> None:
    stripe.now = clock.now()
    bought_there = stripe.subscribe(stripe.customer(), stripe.price(4900, lookup_key="pro-monthly"))
    account = AccountFactory()
    StripeCustomer.objects.create(account=account, reference=bought_there["customer"], livemode=False)
    hear(stripe, client)
    bought = Subscription.objects.get(account=account)
    assert InvoicePayment.objects.get(invoice__subscription=bought).left_cents == 4900
    stripe.now = stripe.now + timedelta(minutes=2)
    stripe.refund(payment(stripe), 900)
    hear(stripe, client)
    assert InvoicePayment.objects.get(invoice__subscription=bought).left_cents == 4000
    assert [code for code, _number in findings()] == ["refunded-elsewhere"]
    assert "paid, $9.00 of it paid back" in " ".join(settings_page(account).split())
    stripe.now = stripe.now + timedelta(minutes=2)
    stripe.refund(payment(stripe), 4000)
    hear(stripe, client)
    assert " paid back " in " ".join(settings_page(account).split())
    assert "of it paid back" not in settings_page(account)


def test_a_failure_is_known_when_it_is_heard_and_not_a_day_later(
    stripe: FakeStripe, client: Client, there: Json, subscription: Subscription, lead: Actor
) -> None:
    approved(subscription, lead, stripe)
    stripe.now = clock.now()
    carry_out_due(stripe.now)
    hear(stripe, client)
    [refund] = stripe.refunds
    stripe.settle_refund(refund, "failed", reason="declined")
    hear(stripe, client)
    told = Notice.objects.get(kind="subscriptions/refund_failed")
    assert told.recipient == owner_of(subscription).user
