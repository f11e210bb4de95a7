"""The tables of this app, each defined in the module named for it."""

from subscriptions.billing.finding import Finding
from subscriptions.billing.holding import Holding
from subscriptions.billing.invoice import Invoice, InvoicePayment
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.wish import Wish
from subscriptions.billing_record import BillingRecord
from subscriptions.ending.cancellation import Cancellation, Reason
from subscriptions.imports.imported_row import ImportedRow
from subscriptions.plan import Interval, Plan, Price
from subscriptions.pricing.repricing import Repricing
from subscriptions.refunds.payments import Payout
from subscriptions.refunds.refund import Ends, Refund
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.forgetting_step import ForgettingStep
from subscriptions.stripe.gate import StripeGate
from subscriptions.stripe.price import StripePrice
from subscriptions.subscription import Channel, Subscription

__all__ = [
    "BillingRecord",
    "Cancellation",
    "Channel",
    "Ends",
    "Finding",
    "ForgettingStep",
    "Holding",
    "ImportedRow",
    "Interval",
    "Invoice",
    "InvoicePayment",
    "Payout",
    "Plan",
    "Price",
    "Purchase",
    "Reason",
    "Refund",
    "Repricing",
    "StripeCustomer",
    "StripeGate",
    "StripePrice",
    "Subscription",
    "Wish",
]
