"""The tables of this app, each defined in the module named for it."""

from subscriptions.billing_record import BillingRecord
from subscriptions.cancellation import Cancellation, Reason
from subscriptions.imports.imported_row import ImportedRow
from subscriptions.plan import Interval, Plan, Price
from subscriptions.pricing.repricing import Repricing
from subscriptions.refunds.payments import Payout
from subscriptions.refunds.refund import Ends, Refund
from subscriptions.subscription import Channel, Subscription

__all__ = [
    "BillingRecord",
    "Cancellation",
    "Channel",
    "Ends",
    "ImportedRow",
    "Interval",
    "Payout",
    "Plan",
    "Price",
    "Reason",
    "Refund",
    "Repricing",
    "Subscription",
]
