"""The mail to the owner of an account that somebody has opened for them: with a way in, if they have none."""

from datetime import datetime

from accounts.customers.account import Account
from accounts.customers.user import User
from accounts.mail import notices
from accounts.signing_in import way_in


def tell_owner(account: Account, owner: User, *, at: datetime) -> None:
    """Queue it, in the transaction in which the account is opened."""
    notices.queue(
        "accounts/account_opened",
        to=[owner],
        account=account,
        occasion=f"account.opened:{account.pk}",
        at=at,
        needs_way_in=not way_in.has_way_in(owner),
    )
