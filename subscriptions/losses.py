"""What an account loses when a subscription ends, and what that means on the free plan (facts/cancelling, 2)."""

from datetime import datetime

from accounts.customers import losses
from accounts.customers.losses import Lost
from accounts.models import Account
from subscriptions.plan import Plan


def of(account: Account, plan: Plan, at: datetime) -> list[Lost]:
    """What `account` loses with `plan`: what that grants and the free one does not, counted now."""
    return losses.of(account, given_up(plan), at)


def given_up(plan: Plan) -> list[str]:
    """The features of `plan` that the free one does not have."""
    return sorted(set(plan.features) - set(Plan.objects.free().features))
