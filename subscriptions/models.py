"""The tables of this app, each defined in the module named for it."""

from subscriptions.cancellation import Cancellation, Reason
from subscriptions.plan import Interval, Plan, Price
from subscriptions.subscription import Channel, Subscription

__all__ = ["Cancellation", "Channel", "Interval", "Plan", "Price", "Reason", "Subscription"]
