import pytest

from tests.accounts.api.calling import Caller


@pytest.fixture
def call(db: None) -> Caller:
    """A system of the vendor's own that may do everything."""
    return Caller()
