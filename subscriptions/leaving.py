"""What a deletion of the account means for its subscription: ended first, or to be cancelled where it is billed.

Registered with `accounts.deletion` by `SubscriptionsConfig.ready`.
"""

from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.history import Actor
from accounts.models import Account
from subscriptions.changing import end_at_once
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
    """What the owner must do first, if a marketplace bills the account."""
    live = Subscription.objects.of(account).live(at).first()
    return CANCEL_THERE_FIRST.get(live.channel) if live else None


def end_before_deletion(account: Account, at: datetime, by: Actor) -> None:
    """End what we bill ourselves, whatever is paid for still: nothing is charged for an account that goes."""
    if live := Subscription.objects.of(account).live(at).first():
        end_at_once(live, at=at, by=by)
