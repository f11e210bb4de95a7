"""What a deletion of the account means for its subscription: ended first, or to be cancelled where it is billed.

Declared in `subscriptions.extension`.
"""

from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.customers.history import Actor
from accounts.models import Account
from subscriptions.changes import call_off, end_at_once
from subscriptions.subscription import Channel, Subscription

CANCEL_THERE_FIRST: dict[str, Promise] = {
    Channel.AWS_MARKETPLACE: _(
        "This account is billed by AWS Marketplace. Please cancel the subscription in your AWS account first, so that "
        "no charges go on; then ask for deletion."
    ),
    Channel.GITHUB_MARKETPLACE: _(
        "This account is billed by GitHub Marketplace. Please cancel the plan in GitHub's billing settings first; its "
        "data is then deleted within 30 days."
    ),
}


def billed_elsewhere(account: Account, at: datetime) -> Promise | None:
    """What the owner must do first, if a marketplace bills the account, or will: what begins later counts."""
    channels = Subscription.objects.of(account).holding(at).order_by("started_at").values_list("channel", flat=True)
    return next((CANCEL_THERE_FIRST[channel] for channel in channels if channel in CANCEL_THERE_FIRST), None)


def end_before_deletion(account: Account, at: datetime, by: Actor) -> None:
    """End what we bill ourselves, whatever is paid for still, and call off what is to begin."""
    for held in Subscription.objects.of(account).holding(at).order_by("started_at"):
        if not call_off(held, at=at, by=by):
            end_at_once(held, at=at, by=by)
