"""Locks, in the one order that there is: the account first, then its subscription."""

from accounts.core.write_guard import BeingErased
from accounts.models import Account
from subscriptions.subscription import Subscription


def locked_account(account: Account) -> Account:
    """The account as it is now, locked until the transaction ends. Raises `BeingErased`."""
    found = Account.objects.select_for_update(no_key=True).filter(pk=account.pk).first()
    if found is None or found.purging_at:
        raise BeingErased(account.pk)
    return found


def locked(subscription: Subscription) -> Subscription:
    """The subscription as it is now, locked after its account until the transaction ends. Raises `BeingErased`."""
    account = locked_account(subscription.account)
    subscription = Subscription.objects.locked().select_related("plan").get(pk=subscription.pk)
    subscription.account = account
    return subscription
