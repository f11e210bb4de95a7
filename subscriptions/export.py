"""What this app adds to an account's data export (`accounts.exports.parts`)."""

from accounts.exports.parts import EXTERNAL_ID, INSTANT, INTEGER, TEXT, Rows, optional
from subscriptions.cancellation import Cancellation
from subscriptions.pricing.repricing import Repricing
from subscriptions.refunds.payments import Payout
from subscriptions.refunds.refund import Refund
from subscriptions.subscription import Subscription

EXPORT_PARTS = (
    Rows(
        "payouts.json",
        lambda account: Payout.objects.filter(refund__subscription__account=account),
        {
            "refund_id": {**TEXT, "description": "the refund's reference"},
            "cents": INTEGER,
            "currency": TEXT,
            "payment_reference": TEXT,
            "recorded_at": INSTANT,
        },
        key=("refund_id",),
    ),
    Rows(
        "subscriptions.json",
        lambda account: Subscription.objects.filter(account=account),
        {
            "id": INTEGER,
            "plan_id": TEXT,
            "channel": TEXT,
            "interval": {
                **INTEGER,
                "description": "months in a billing cycle; not so for what AWS sold",
            },
            "seats": INTEGER,
            "cents": {**INTEGER, "description": "for one seat and one cycle; 0 for what AWS sold"},
            "currency": TEXT,
            "order_reference": {**TEXT, "description": "of the order; empty for what a marketplace sold"},
            "external_id": EXTERNAL_ID,
            "started_at": INSTANT,
            "trial_ends_at": optional(INSTANT),
            "anchor_at": {**INSTANT, "description": "billing cycles are counted from here"},
            "ends_at": optional(INSTANT),
            "settled_at": optional(INSTANT),
        },
    ),
    Rows(
        "price_changes.json",
        lambda account: Repricing.objects.filter(subscription__account=account, told_at__isnull=False),
        {
            "id": INTEGER,
            "subscription_id": INTEGER,
            "cents_before": {**INTEGER, "description": "for one seat and one cycle"},
            "cents": INTEGER,
            "from_at": INSTANT,
            "told_at": {**INSTANT, "description": "when the owner was told by mail"},
            "carried_out_at": optional(INSTANT),
            "dropped_at": {**optional(INSTANT), "description": "when it was called off, or did not come"},
        },
    ),
    Rows(
        "cancellations.json",
        lambda account: Cancellation.objects.filter(subscription__account=account),
        {
            "id": INTEGER,
            "reference": TEXT,
            "subscription_id": INTEGER,
            "requested_at": INSTANT,
            "requested_by_id": optional(INTEGER),
            "reason": TEXT,
            "comment": TEXT,
            "effective_at": INSTANT,
            "withdrawn_at": optional(INSTANT),
            "withdrawn_by_id": optional(INTEGER),
            "carried_out_at": optional(INSTANT),
        },
    ),
    Rows(
        "refunds.json",
        lambda account: Refund.objects.approved().filter(subscription__account=account),
        {
            "id": INTEGER,
            "reference": TEXT,
            "request_id": optional(INTEGER),
            "subscription_id": INTEGER,
            "cents": INTEGER,
            "currency": TEXT,
            "ends": TEXT,
            "payment_reference": {**TEXT, "description": "its number in the payment system"},
            "approved_at": INSTANT,
            "paid_at": optional(INSTANT),
            "ended_at": {**optional(INSTANT), "description": "when the end of the subscription was arranged"},
        },
    ),
)
