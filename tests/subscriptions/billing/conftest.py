from collections.abc import Iterator

import pytest

from subscriptions.billing.provider import REGISTRY
from tests.subscriptions.billing.shop import Shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Owners buy here, at a provider that knows nothing of Stripe."""
    shop = Shop()
    with REGISTRY.replaced(shop):
        yield shop
