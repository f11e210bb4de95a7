"""What a provider says of a subscription is taken over: our rows are brought in line with it.

Dates, price and payments of a subscription that a provider holds are the provider's. What the owner or staff did there
counts as if it had been done here: with history, and a mail.
"""

from datetime import datetime

from accounts.models import Account
from subscriptions.billing.holding import Held, Holding


def take_over(account: Account, held: Held, *, at: datetime) -> Holding | None:
    """Bring what we hold in line with `held`, under account, subscription and wish. None for what grants nothing.

    An older picture (`read_at`) changes nothing. A second live subscription is a finding, never an error.
    """
    raise NotImplementedError
