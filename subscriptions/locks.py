"""Locks, in the one order that there is: the account first, then its subscription."""

from accounts.models import Account
from subscriptions.subscription import Subscription


def locked_account(account: Account) -> Account:
    """The account as it is now, locked until the transaction ends. Raises `BeingErased`."""
    return Account.objects.locked(account.pk)


def locked(subscription: Subscription) -> Subscription:
    """The subscription as it is now, locked after its account until the transaction ends. Raises `BeingErased`."""
    account = locked_account(subscription.account)
    subscription = Subscription.objects.locked().select_related("plan").get(pk=subscription.pk)
    subscription.account = account
    return subscription
