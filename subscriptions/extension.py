"""What this app adds to Offboard."""

from accounts.erasure.inventory import Keeper
from accounts.erasure.starting import ReasonToWait
from accounts.extension import Extension
from subscriptions import billing_record, certificate_words, current_plan, export, personal_data, plan
from subscriptions.api import doors
from subscriptions.billing import agreeing, buying, finding_kinds, paid_after_end
from subscriptions.billing.billing_extension import BillingExtension
from subscriptions.billing.recorded import Recorded
from subscriptions.billing.vendor import Vendor
from subscriptions.channels.channel_extension import ChannelExtension
from subscriptions.desk import (
    actions,
    billing_actions,
    catalogue_actions,
    figures,
    finding_actions,
    first_steps,
    panels,
    refund_actions,
)
from subscriptions.ending import account_deletion, reminders, settling
from subscriptions.event_kinds import INTERNAL, SubscriptionEvent
from subscriptions.event_types import SUBSCRIPTION_TYPES
from subscriptions.pricing import repricing
from subscriptions.refunds import decisions, paying
from subscriptions.refunds.payments import RecordedPayments
from subscriptions.stripe import checks as stripe_checks
from subscriptions.stripe import finding_kinds as stripe_finding_kinds
from subscriptions.stripe import forgetting, gate
from subscriptions.stripe import messages as stripe_messages
from subscriptions.stripe import reconciliation as stripe_reconciliation
from subscriptions.stripe.provider import Stripe

RECORDED, VENDOR = Recorded(), Vendor()

EXTENSION = Extension(
    event_kinds=SubscriptionEvent,
    internal_event_kinds=INTERNAL,
    messages=SUBSCRIPTION_TYPES,
    # What ends a subscription comes before what mails about it.
    sweeps=(
        settling.SWEEP,
        paying.SWEEP,
        agreeing.SWEEP,
        stripe_checks.SWEEP,
        buying.SWEEP,
        repricing.SWEEP,
        reminders.SWEEP,
        billing_record.SWEEP,
        stripe_reconciliation.SWEEP,
        forgetting.SWEEP,
    ),
    inbox_sources=(stripe_messages.SOURCE,),
    invariants=(
        *settling.INVARIANTS,
        *agreeing.INVARIANTS,
        *stripe_checks.INVARIANTS,
        *gate.INVARIANTS,
        *repricing.INVARIANTS,
        *reminders.INVARIANTS,
        *paying.INVARIANTS,
        *billing_record.INVARIANTS,
        *buying.INVARIANTS,
        *paid_after_end.INVARIANTS,
        *plan.INVARIANTS,
        *forgetting.INVARIANTS,
    ),
    personal_data=personal_data.PERSONAL_DATA,
    keepers=(Keeper("subscriptions.BillingRecord", billing_record.keep),),
    reasons_to_wait=(
        ReasonToWait("subscription", personal_data.still_subscribed),
        ReasonToWait("charge", personal_data.still_charged),
        ReasonToWait("refund", personal_data.still_to_be_paid),
        ReasonToWait("stripe", forgetting.reason_to_wait, while_erasing=True),
    ),
    export_parts=export.EXPORT_PARTS,
    deletion_obstacles=(account_deletion.billed_elsewhere,),
    renewals=(account_deletion.RENEWAL,),
    # Written down after what ends with the account: it waits for that.
    before_erasing=(account_deletion.end_with_the_account, forgetting.plan_to_forget),
    remains=(forgetting.remains,),
    paid_back=(billing_record.paid_back,),
    certificate_groups=certificate_words.GROUPS,
    pending=(current_plan.end_pending,),
    under_way=(decisions.under_way,),
    actions=(
        *actions.ACTIONS,
        *billing_actions.ACTIONS,
        *refund_actions.ACTIONS,
        *catalogue_actions.ACTIONS,
        *finding_actions.ACTIONS,
    ),
    panels=panels.PANELS,
    figures=figures.FIGURES,
    first_steps=first_steps.STEPS,
    finders=panels.FINDERS,
    entitlements=current_plan.entitlements,
    doors=doors.DOORS,
    also=(
        ChannelExtension(departures=figures.DIRECT_DEPARTURES, payments=RecordedPayments()),
        BillingExtension(
            providers=(RECORDED, VENDOR, Stripe()), findings=(*finding_kinds.KINDS, *stripe_finding_kinds.KINDS)
        ),
    ),
)
