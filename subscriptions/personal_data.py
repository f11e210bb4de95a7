"""What this app holds: its part of the inventory of personal data (`accounts.erasure.inventory`)."""

import uuid
from datetime import datetime

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.erasure.inventory import Erased, Kept, Order, Scrubbed
from accounts.personal_data import ACCOUNTABILITY, DELIVERY_EMPTIED, NOTHING_PERSONAL, unlinked
from subscriptions import billing_record
from subscriptions.billing.finding import Finding
from subscriptions.billing.holding import Holding
from subscriptions.billing.invoice import Invoice, InvoicePayment
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.wish import Wish
from subscriptions.ending import account_deletion
from subscriptions.ending.cancellation import Cancellation
from subscriptions.pricing.repricing import Repricing
from subscriptions.refunds import paying
from subscriptions.refunds.payments import Payout
from subscriptions.refunds.refund import Refund
from subscriptions.stripe import forgetting
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.subscription import Subscription


def still_subscribed(account_id: uuid.UUID, at: datetime) -> str | None:
    """Nobody's data is erased while a subscription is live or about to begin: the customer may have come back.

    What the account held already when its deletion was approved is ended by that
    (`subscriptions.ending.account_deletion`).
    """
    goes = account_deletion.ended_by_erasing(account_id, at).values("pk")
    staying = Subscription.objects.filter(account_id=account_id).holding(at).exclude(pk__in=goes)
    held = staying.order_by("started_at").first()
    if held is None:
        return None
    if held.started_at > at:
        return gettext("a subscription that is to begin (%(plan)s)") % {"plan": held.plan_id}
    return gettext("the end of a live subscription (%(plan)s)") % {"plan": held.plan_id}


def still_charged(account_id: uuid.UUID, at: datetime) -> str | None:
    """Nobody's data is erased while a charge of theirs may still come: with the wish that it stops, the task would go.

    What a provider holds it confirms itself, and waits for that (its own reason).
    """
    wishes = Wish.objects.open().filter(subscription__account_id=account_id, subscription__held_by="")
    if not wishes.exists():
        return None
    return gettext("the word of whoever charges that nothing more is charged")


def still_to_be_paid(account_id: uuid.UUID, at: datetime) -> str | None:
    """Nobody's data is erased while we owe them money: the refund would be forgotten with it.

    Nor while a refund is on its way, and may yet fail; and of one that has failed until staff have found another way,
    or say that there is none.
    """
    refunds = Refund.objects.filter(subscription__account_id=account_id)
    if owed := refunds.unfinished().first():
        return gettext("the refund %(reference)s, which is approved and not finished") % {"reference": owed}
    if on_the_way := refunds.on_the_way().first():
        return gettext("the refund %(reference)s, which is accepted and not paid yet") % {"reference": on_the_way}
    unseen = Finding.objects.open().filter(code=paying.FAILED, reference=models.OuterRef("reference"))
    if failed := refunds.failed().filter(models.Exists(unseen)).first():
        return gettext("another way to pay the refund %(reference)s, which has failed") % {"reference": failed}
    return None


PERSONAL_DATA = (
    # While it is known what Stripe calls the account.
    Scrubbed(
        "accounts.Delivery",
        Order.CONTENT,
        forgetting.deliveries,
        values=DELIVERY_EMPTIED,
        part="by Stripe's name",
        held_by_workers=True,
    ),
    Erased(
        "subscriptions.Cancellation",
        Order.CONTENT,
        lambda account: Cancellation.objects.filter(subscription__account=account),
    ),
    Erased(
        "subscriptions.Payout",
        Order.CONTENT,
        lambda account: Payout.objects.filter(refund__subscription__account=account),
    ),
    Erased(
        "subscriptions.Refund",
        Order.CONTENT,
        lambda account: Refund.objects.filter(subscription__account=account),
    ),
    Erased(
        "subscriptions.Repricing",
        Order.CONTENT,
        lambda account: Repricing.objects.filter(subscription__account=account),
    ),
    Erased(
        "subscriptions.InvoicePayment",
        Order.CONTENT,
        lambda account: InvoicePayment.objects.filter(invoice__subscription__account=account),
    ),
    Erased(
        "subscriptions.Invoice", Order.CONTENT, lambda account: Invoice.objects.filter(subscription__account=account)
    ),
    Erased("subscriptions.Purchase", Order.CONTENT, lambda account: Purchase.objects.filter(account=account)),
    Erased(
        "subscriptions.Finding",
        Order.CONTENT,
        lambda account: Finding.objects.filter(account=account),
        not_exported=_("what support staff had to look at: ids and codes of the payment provider"),
    ),
    Erased("subscriptions.Wish", Order.CONTENT, lambda account: Wish.objects.filter(subscription__account=account)),
    Erased(
        "subscriptions.Holding", Order.CONTENT, lambda account: Holding.objects.filter(subscription__account=account)
    ),
    Erased(
        "subscriptions.StripeCustomer",
        Order.CONTENT,
        lambda account: StripeCustomer.objects.filter(account=account),
        not_exported=_("the id by which the payment provider knows the account: it stands on its invoices"),
    ),
    Erased("subscriptions.Subscription", Order.CONTENT, lambda account: Subscription.objects.filter(account=account)),
    unlinked("subscriptions.Cancellation", "requested_by"),
    unlinked("subscriptions.Cancellation", "withdrawn_by"),
    unlinked("subscriptions.Purchase", "begun_by"),
    Kept(
        "subscriptions.BillingRecord",
        _("what was sold and refunded, at which price, from when to when, by the account's id, for ten years"),
        _("tax and commerce law; GDPR art. 17(3)(b)"),
        until=billing_record.kept_until,
    ),
    Kept(
        "subscriptions.ImportedRow",
        _("keyed hashes of what was imported, by which a file that is imported again brings nobody back"),
        ACCOUNTABILITY,
    ),
    Kept("subscriptions.Plan", NOTHING_PERSONAL),
    Kept("subscriptions.Price", NOTHING_PERSONAL),
    Kept(
        "subscriptions.ForgettingStep",
        _("by which id Stripe keeps the account's invoices, and when they are redacted there"),
        _("tax and commerce law; GDPR art. 17(3)(b)"),
    ),
    Kept("subscriptions.StripePrice", NOTHING_PERSONAL),
    Kept("subscriptions.StripeGate", _("digests of Stripe's keys, for the rate of calls; they name nobody")),
)
