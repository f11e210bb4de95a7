import pytest
from django.core.cache import cache

from tests.accounts.api.calling import Caller


@pytest.fixture
def call(db: None) -> Caller:
    """A system of the vendor's own that may do everything."""
    cache.clear()
    return Caller()
