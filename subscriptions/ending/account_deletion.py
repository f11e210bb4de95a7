"""What a deletion of the account means for its subscription.

One that is billed elsewhere is to be cancelled there first. One that we bill is not renewed from the approval on, and
ends when the erasing begins; called off before that, the deletion has cost nothing that was paid for.

Declared in `subscriptions.extension`.
"""

import uuid
from datetime import datetime

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.models import Account, Event
from accounts.support import deletion
from subscriptions.billing.wish import Cause
from subscriptions.changes import call_off, end_at_once
from subscriptions.ending.cancellation import Cancellation, Reason, cancel, withdraw
from subscriptions.event_kinds import SubscriptionEvent
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

#: The lines of history that tell of something bought (`subscriptions.starting`).
BOUGHT = (
    SubscriptionEvent.SUBSCRIPTION_STARTED,
    SubscriptionEvent.CONTRACT_ENTERED,
    SubscriptionEvent.CONTRACT_RENEWED,
)


def billed_elsewhere(account: Account, at: datetime) -> Promise | None:
    """What the owner must do first, if a marketplace bills the account, or will: what begins later counts."""
    channels = Subscription.objects.of(account).holding(at).order_by("started_at").values_list("channel", flat=True)
    return next((CANCEL_THERE_FIRST[channel] for channel in channels if channel in CANCEL_THERE_FIRST), None)


def stop_renewal(account: Account, at: datetime, by: Actor) -> dict[str, object]:
    """A deletion is approved: what renews by itself ends with its cycle. All that was paid for stays until then.

    Returns what the owner's mail says of it.
    """
    live = Subscription.objects.of(account).live(at).filter(channel=Channel.DIRECT, ends_at=None).first()
    if live is None:
        return {}
    stopped, _new = cancel(live, by=by, at=at, reason=Reason.DELETION)
    return {"plan": live.plan.name, "ends_at": stopped.effective_at}


def resume_renewal(account: Account, at: datetime, by: Actor) -> dict[str, object]:
    """The deletion is called off: what it stopped goes on as before. What has ended meanwhile stays ended.

    A cancellation of the owner's own stands. Returns what the owner's mail says of it.
    """
    stopped = Cancellation.objects.open().filter(subscription__account=account, reason=Reason.DELETION)
    for cancellation in stopped.select_related("subscription__plan"):
        try:
            withdraw(cancellation, by=by, at=at)
        except Refused:
            # Over by itself meanwhile, or paid back.
            continue
        subscription = cancellation.subscription
        return {"plan": subscription.plan.name, "renews_at": subscription.paid_through(at)}
    return {}


def ended_by_erasing(account_id: uuid.UUID, at: datetime) -> "models.QuerySet[Subscription]":
    """What the account held already when two people approved its deletion.

    Whatever it has bought since holds the erasing up: the customer has come back.
    """
    held = Subscription.objects.filter(account_id=account_id).holding(at).order_by("started_at")
    approval = deletion.approval_of(account_id)
    if approval is None:
        return held.none()
    bought = Event.objects.filter(account_id=account_id, at__gt=approval.approved_at, kind__in=BOUGHT)
    return held.exclude(pk__in=[event.facts["subscription"] for event in bought])


def end_with_the_account(account_id: uuid.UUID, at: datetime) -> None:
    """The erasing begins: end what runs, whatever is paid for still, and call off what is to begin."""
    for held in Subscription.objects.filter(account_id=account_id).holding(at).order_by("started_at"):
        if not call_off(held, at=at, by=Actor.system()):
            end_at_once(held, at=at, by=Actor.system(), cause=Cause.DELETION)


RENEWAL = deletion.Renewal("subscription", stop=stop_renewal, resume=resume_renewal)
