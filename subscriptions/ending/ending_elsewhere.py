"""The vendor's own billing has ended a subscription, or will: it was not paid, it was charged back, it was cancelled
there. Told by the API. Nothing is asked of anybody, and nobody keeps it beyond that end
(`subscriptions.ending.cancellation`).
"""

from datetime import datetime

from django.db import models, transaction
from django.db.models import Value
from django.db.models.functions import Least
from django.utils.translation import gettext_lazy as _

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.mail import notices
from subscriptions import changes
from subscriptions.billing import wish
from subscriptions.ending import reminders
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.subscription import Subscription, locked


class EndReason(models.TextChoices):
    """Why billing has ended it."""

    UNPAID = "unpaid", _("not paid")
    CHARGED_BACK = "charged_back", _("charged back")
    CANCELLED = "cancelled", _("cancelled in the billing system")
    OTHER = "other", _("another reason")


def end_elsewhere(subscription: Subscription, *, ends_at: datetime, reason: EndReason, by: Actor, at: datetime) -> bool:
    """Let a subscription end when billing says. Returns whether that changed anything: the earlier end stands.

    An end that has passed is carried out at once, and the owner is told; it lies no earlier than the beginning, nor
    than the owner's own cancellation, which was told of a live subscription. One ahead is carried out when it comes,
    as any other, with the reminders before it. What has not begun by then never does. Raises `BeingErased`.
    """
    with transaction.atomic():
        subscription = locked(subscription)
        if subscription.is_over(at) or (subscription.ends_at is not None and subscription.ends_at <= ends_at):
            return False
        wish.heard_from_billing(subscription, ends_at, at=at)
        if subscription.started_at > at and ends_at <= subscription.started_at:
            return changes.call_off(subscription, at=at, by=by, told_by_billing=True)
        if ends_at > at:
            _end_ahead(subscription, ends_at, reason, by=by, at=at)
            return True
        asked = subscription.cancellations.open().values_list("requested_at", flat=True)
        ended_at = max([ends_at, subscription.started_at, *asked])
        if not changes.end_locked(subscription, at=at, ends_at=ended_at, by=by, reason=reason.value):
            return False
        notices.queue(
            "subscriptions/subscription_ended",
            to=[subscription.account.owner()],
            account=subscription.account,
            occasion=f"subscription.ended:{subscription.pk}",
            at=at,
            plan=subscription.plan.name,
            channel=subscription.channel,
            ended_at=ended_at,
        )
    return True


def _end_ahead(subscription: Subscription, ends_at: datetime, reason: EndReason, *, by: Actor, at: datetime) -> None:
    before = subscription.ends_at
    subscription.billed_until = ends_at
    subscription.save(update_fields=["billed_until"])
    reminders.set_end(subscription, ends_at, at=at)
    subscription.cancellations.open().update(effective_at=Least("effective_at", Value(ends_at)))
    history.record(
        subscription.account_id,
        SubscriptionEvent.END_TOLD,
        at=at,
        by=by,
        subject=subscription,
        subscription=subscription.pk,
        reason=reason.value,
        ends_at=ends_at.isoformat(),
        ended_before_at=before.isoformat() if before else None,
    )
