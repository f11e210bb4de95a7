from tests.accounts.api.conftest import call

__all__ = ["call"]
