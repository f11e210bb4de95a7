"""A Stripe to ask, in the settings."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.stripe import FakeStripe

RATES = itertools.count(1000.0)


@pytest.fixture(scope="session")
def one_stripe() -> Iterator[FakeStripe]:
    with FakeStripe() as stripe:
        yield stripe


@pytest.fixture
def stripe(one_stripe: FakeStripe, settings: Any) -> FakeStripe:
    """New for each test, and the one that is asked."""
    one_stripe.clear()
    settings.STRIPE_API_URL, settings.STRIPE_API_KEY = one_stripe.url, one_stripe.api_key
    settings.STRIPE_LIVEMODE = False
    settings.STRIPE_WEBHOOK_SECRETS = list(one_stripe.webhook_secrets)
    # A rate of its own, and so a gate that remembers nothing of another test's time.
    settings.STRIPE_CALLS_A_SECOND = next(RATES)
    return one_stripe
