"""An app of the floor's: allauth as the product has it, but without its demand for a middleware."""

from allauth.account.apps import AccountConfig


class AccountsWithoutMiddleware(AccountConfig):  # type: ignore[misc]  # allauth has no types
    """allauth's accounts, with nothing to check when it starts: the floor signs nobody in."""

    def ready(self) -> None:
        """Ask for nothing."""
