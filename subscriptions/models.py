"""The tables of this app, each defined in the module named for it."""

from subscriptions.billing_record import BillingRecord
from subscriptions.cancellation import Cancellation, Reason
from subscriptions.plan import Interval, Plan, Price
from subscriptions.subscription import Channel, Subscription

__all__ = ["BillingRecord", "Cancellation", "Channel", "Interval", "Plan", "Price", "Reason", "Subscription"]
