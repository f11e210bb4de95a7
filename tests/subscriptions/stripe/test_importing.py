"""Existing customers of Stripe's: whose account each is, what is taken over, and what is listed instead."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from accounts.core import clock
from accounts.models import Account, Notice
from subscriptions.models import Cancellation, Holding, StripeCustomer, StripePrice, Subscription
from tests.accounts.erasure.purging import HOUR
from tests.factories import AccountFactory, UserFactory, subscribe
from tests.fakes.stripe import FakeStripe

pytestmark = pytest.mark.django_db


def report(*options: str) -> str:
    out = StringIO()
    call_command("stripe_import", *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def pro(stripe: FakeStripe) -> Any:
    stripe.now = clock.now() - HOUR
    return stripe.price(4900, lookup_key="pro")


def owned(email: str) -> Account:
    account: Account = AccountFactory(owner=UserFactory(email=email))
    return account


def test_a_rehearsal_says_what_would_become_of_it_and_changes_nothing(stripe: FakeStripe, pro: Any) -> None:
    account = owned("ada@lovelace.example")
    there = stripe.subscribe(stripe.customer(email="Ada@Lovelace.example"), pro, quantity=3)
    assert f"{there['id']} {there['customer']} {account.pk}: linked" in report()
    assert not StripeCustomer.objects.exists()
    assert not StripePrice.objects.exists()
    assert not Subscription.objects.exists()


def test_what_is_certain_is_linked_without_a_mail_or_a_change_there_and_again_changes_nothing(
    stripe: FakeStripe, pro: Any
) -> None:
    account = owned("ada@lovelace.example")
    there = stripe.subscribe(stripe.customer(email="ADA@lovelace.example"), pro, quantity=3)
    assert "1 linked" in report("--apply")
    found = Subscription.objects.get()
    assert (found.account, found.plan_id, found.seats, found.cents, found.held_by) == (
        account,
        "pro",
        3,
        4900,
        "stripe",
    )
    assert Holding.objects.get().reference == there["id"]
    assert "1 unchanged" in report("--apply")
    assert Subscription.objects.count() == 1
    assert not Notice.objects.exists()
    assert stripe.changes() == []


def test_metadata_name_the_account_before_any_address_does(stripe: FakeStripe, pro: Any) -> None:
    owned("ada@lovelace.example")
    named = owned("grace@hopper.example")
    customer = stripe.customer(email="ada@lovelace.example", metadata={"tenant": str(named.pk)})
    stripe.subscribe(customer, pro)
    report("--apply", "--metadata-key", "tenant")
    assert Subscription.objects.get().account == named


def test_a_cancellation_there_is_one_here_without_a_mail(stripe: FakeStripe, pro: Any) -> None:
    owned("ada@lovelace.example")
    stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro, cancel_at_period_end=True)
    assert "linked (cancelling)" in report("--apply")
    assert Cancellation.objects.get().effective_at == Subscription.objects.get().period_ends_at
    assert not Notice.objects.exists()


def test_whatever_is_not_certain_is_listed_with_its_reason_and_not_linked(stripe: FakeStripe, pro: Any) -> None:
    shared = UserFactory(email="two@accounts.example")
    AccountFactory(owner=shared)
    AccountFactory(owner=shared)
    subscribe(owned("has@one.example"))
    owned("buys@twice.example")
    odd = stripe.price(900, interval_count=3, lookup_key="basic")
    twice = stripe.customer(email="buys@twice.example")
    expected = {
        "ambiguous": stripe.subscribe(stripe.customer(email="two@accounts.example"), pro),
        "nobody": stripe.subscribe(stripe.customer(email="no@body.example"), pro),
        "unknown price": stripe.subscribe(stripe.customer(), stripe.price(100)),
        "unsupported interval": stripe.subscribe(stripe.customer(), odd),
    }
    lives = [
        stripe.subscribe(stripe.customer(email="has@one.example"), pro),
        stripe.subscribe(twice, pro),
        stripe.subscribe(twice, pro),
    ]
    said = report("--apply")
    for why, there in expected.items():
        assert f"{there['id']} {there['customer']} -: {why}\n" in said
    assert said.count(": two live") == len(lives)
    assert not Holding.objects.exists()
