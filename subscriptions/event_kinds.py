"""What can happen to an account's subscriptions: the kinds of their events, and their words.

Append-only like the history itself: a value that has been written is never given another meaning.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SubscriptionEvent(models.TextChoices):
    SUBSCRIPTION_STARTED = "subscription.started", _("Subscription started")
    SUBSCRIPTION_CHANGED = "subscription.changed", _("Subscription changed")
    SUBSCRIPTION_ENDED = "subscription.ended", _("Subscription ended")
    SUBSCRIPTION_RENEWED = "subscription.renewed", _("Subscription renewed without a gap")
    END_TOLD = "subscription.end_told", _("End of the subscription told by the billing system")
    SUBSCRIPTION_SUSPENDED = "subscription.suspended", _("Subscription suspended: not paid, or paused")
    SUBSCRIPTION_RESUMED = "subscription.resumed", _("Subscription goes on after it was suspended")
    SUBSCRIPTION_CALLED_OFF = "subscription.called_off", _("Subscription called off before it began")
    BILLING_STOPPED = "billing.stopped", _("Renewal stopped by whoever charges")
    BILLING_GOES_ON = "billing.goes_on", _("Renewal goes on, says whoever charges")
    END_MOVED = "subscription.end_moved", _("Subscription ends later: it is paid for until then")
    CANCELLATION_REQUESTED = "cancellation.requested", _("Subscription cancelled")
    CANCELLATION_WITHDRAWN = "cancellation.withdrawn", _("Subscription kept after all")
    CONTRACT_ENTERED = "contract.entered", _("Contract entered")
    CONTRACT_EXTENDED = "contract.extended", _("Contract extended")
    CONTRACT_RENEWED = "contract.renewed", _("New contract entered, to begin when the present one ends")
    REFUND_APPROVED = "refund.approved", _("Refund approved")
    REFUND_PAID = "refund.paid", _("Refund paid")
    PRICE_ANNOUNCED = "price.announced", _("Owner told of a new price")
    PRICE_CHANGED = "price.changed", _("New price of the subscription")
    BILLING_REMOVED = "billing.removed", _("Billing records removed: their ten years are over")
    REFUND_ACCEPTED = "refund.accepted", _("Refund accepted by the payment provider")
    REFUND_FAILED = "refund.failed", _("Refund failed: the money did not arrive")
    CHARGE_UNDONE = "charge.undone", _("A charge for a time after the end is paid back")
    REFUND_PROPOSED = "refund.proposed", _("Refund proposed")
    REFUND_DECLINED = "refund.declined", _("Refund declined")
    REFUND_FINISHED = "refund.finished", _("Refund finished: paid, and the end of the subscription arranged")


#: Shown to staff alone.
INTERNAL = frozenset(
    {SubscriptionEvent.REFUND_PROPOSED, SubscriptionEvent.REFUND_DECLINED, SubscriptionEvent.REFUND_FINISHED}
)
