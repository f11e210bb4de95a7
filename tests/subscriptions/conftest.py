"""A Stripe to talk to, at the address that the settings know."""

import itertools
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.factories import NOW
from tests.fakes.stripe import FakeStripe

#: A rate of its own for each test, and so a gate that remembers nothing of another test's time.
RATES = itertools.count(1000.0)


@pytest.fixture(scope="session")
def one_stripe() -> Iterator[FakeStripe]:
    with FakeStripe() as stripe:
        yield stripe


@pytest.fixture
def stripe(one_stripe: FakeStripe, settings: Settings) -> FakeStripe:
    """A fresh Stripe at `NOW`, in test mode, with its key and secrets in the settings."""
    one_stripe.clear()
    one_stripe.now = NOW
    settings.STRIPE_API_URL = one_stripe.url
    settings.STRIPE_API_KEY = one_stripe.api_key
    settings.STRIPE_WEBHOOK_SECRETS = list(one_stripe.webhook_secrets)
    settings.STRIPE_LIVEMODE = False
    settings.STRIPE_CALLS_A_SECOND = next(RATES)
    return one_stripe
