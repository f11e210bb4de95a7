"""Billing records: what the law wants kept of a subscription when its account is erased.

What was sold, through which channel, at which price, from when to when, under the account's id. No names, no texts,
no links to people. When the term is over the records go as well: the `retention` sweep.
"""

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from dateutil.relativedelta import relativedelta
from django.db import connection, models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.jobs import invariants, sweeps
from accounts.jobs.batches import run_batches
from accounts.jobs.queues import Queue
from subscriptions.event_kinds import SubscriptionEvent

#: Tax and commerce law differ by country; ten years cover the longest term that is common in the EU.
KEPT_FOR = relativedelta(years=10)
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=5)
#: Removed in one transaction.
BATCH = 500
#: The sweep comes every day; a record that is still there so long after its term is shown to staff.
OVERDUE = timedelta(days=2)


class BillingRecordQuerySet(models.QuerySet["BillingRecord"]):
    def over(self, at: datetime) -> Self:
        """Those whose term is over at `at`, in the order in which it was."""
        return self.filter(kept_until__lte=at).order_by("kept_until", "id")


class BillingRecord(models.Model):
    """One subscription of an account that has been erased."""

    #: The number that the subscription had.
    id = models.BigIntegerField(_("subscription"), primary_key=True)
    account_id = models.UUIDField(_("account"), db_index=True)
    plan = models.CharField(_("plan"), max_length=40)
    channel = models.CharField(_("channel"), max_length=20)
    interval = models.PositiveSmallIntegerField(_("billed"))
    seats = models.PositiveIntegerField(_("seats"))
    cents = models.PositiveIntegerField(_("price in cents"))
    currency = models.CharField(_("currency"), max_length=3)
    started_at = models.DateTimeField(_("started"))
    trial_ends_at = models.DateTimeField(_("trial ended"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    #: From when a seat and cycle cost what: `cents_before` until `from`, `cents` from then on. The last one is `cents`.
    price_changes: "models.JSONField[Any, Any]" = models.JSONField(_("price changes"), default=list, db_default=[])
    refunded_cents = models.PositiveIntegerField(_("refunded, in cents"), default=0)
    refunded_at = models.DateTimeField(_("refunded"), null=True, blank=True)
    kept_until = models.DateTimeField(_("kept until"))

    objects = BillingRecordQuerySet.as_manager()

    class Meta:
        verbose_name = _("billing record")
        verbose_name_plural = _("billing records")
        indexes = [
            models.Index(fields=["kept_until", "id"], name="billing_record_term"),
            models.Index(fields=["ended_at"], name="billing_record_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} ({self.channel}), {self.started_at:%Y-%m-%d}"


def keep(account_id: uuid.UUID, at: datetime) -> int:
    """Write down every subscription that ever began; again changes nothing. Returns how many are kept."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO subscriptions_billingrecord
                   (id, account_id, plan, channel, interval, seats, cents, currency,
                    started_at, trial_ends_at, ended_at, price_changes, refunded_cents, refunded_at, kept_until)
            SELECT sold.id, sold.account_id, sold.plan_id, sold.channel, sold.interval, sold.seats, sold.cents,
                   sold.currency, sold.started_at, sold.trial_ends_at, sold.ends_at, coalesce((
                       SELECT jsonb_agg(jsonb_build_object(
                                  'from', change.from_at, 'cents_before', change.cents_before, 'cents', change.cents
                              ) ORDER BY change.from_at)
                         FROM subscriptions_repricing AS change
                        WHERE change.subscription_id = sold.id AND change.carried_out_at IS NOT NULL
                   ), '[]'), greatest(refunded.there, elsewhere.cents) + refunded.by_hand, refunded.at, %s
              FROM subscriptions_subscription AS sold
             CROSS JOIN LATERAL (
                       SELECT coalesce(sum(refund.cents) FILTER (WHERE NOT refund.is_by_hand), 0) AS there,
                              coalesce(sum(refund.cents) FILTER (WHERE refund.is_by_hand), 0) AS by_hand,
                              max(refund.paid_at) AS at
                         FROM subscriptions_refund AS refund
                        WHERE refund.subscription_id = sold.id AND refund.paid_at IS NOT NULL
                          AND refund.failed_at IS NULL
                   ) AS refunded
             -- With what others have paid back at the payment provider, as last read there.
             CROSS JOIN LATERAL (
                       SELECT coalesce(sum(payment.refunded_cents), 0) AS cents
                         FROM subscriptions_invoice AS invoice
                         JOIN subscriptions_invoicepayment AS payment ON payment.invoice_id = invoice.id
                        WHERE invoice.subscription_id = sold.id
                   ) AS elsewhere
             WHERE sold.account_id = %s AND sold.ends_at IS DISTINCT FROM sold.started_at
            ON CONFLICT DO NOTHING
            """,
            [at + KEPT_FOR, account_id],
        )
    return BillingRecord.objects.filter(account_id=account_id).count()


def kept_until(account_id: uuid.UUID) -> datetime | None:
    """When the last record of the account goes; None if there is none."""
    records = BillingRecord.objects.filter(account_id=account_id)
    found: datetime | None = records.aggregate(last=models.Max("kept_until"))["last"]
    return found


def paid_back(account_id: uuid.UUID, since: datetime) -> list[dict[str, Any]]:
    """What was refunded to the account from `since` on, one entry a subscription, for its certificate."""
    records = BillingRecord.objects.filter(account_id=account_id, refunded_at__gte=since, refunded_cents__gt=0)
    return [
        {
            "at": record.refunded_at.astimezone(UTC).isoformat() if record.refunded_at else None,
            "cents": record.refunded_cents,
            "currency": record.currency,
        }
        for record in records.order_by("refunded_at", "pk")
    ]


def preview(at: datetime) -> Iterator[str]:
    """Which records `remove_over` would remove at `at`, a line each."""
    for record in BillingRecord.objects.over(at).iterator():
        yield f"{record.account_id} {record}: billing record kept until {record.kept_until:%Y-%m-%d}"


def remove_over(at: datetime) -> int:
    """Remove the records whose term is over at `at`; each account's history says how many. Returns how many went."""

    def remove(rows: "models.QuerySet[BillingRecord]", batch: int) -> int:
        return _remove_batch(rows, batch, at)

    return run_batches(BillingRecord.objects.over(at).order_by("pk"), remove, batch=BATCH, run=RUN, noted=False)


def _remove_batch(over: "models.QuerySet[BillingRecord]", batch: int, at: datetime) -> int:
    with transaction.atomic():
        # What another sweep is removing just now is left to it.
        accounts = dict(over.select_for_update(skip_locked=True).values_list("pk", "account_id")[:batch])
        removed, _by_model = BillingRecord.objects.filter(pk__in=accounts).delete()
        for account_id, records in Counter(accounts.values()).items():
            history.record(account_id, SubscriptionEvent.BILLING_REMOVED, at=at, by=Actor.system(), records=records)
    return removed


SWEEP = sweeps.Sweep("retention", run=remove_over, preview=preview, late_after=OVERDUE, queue=Queue.SLOW, alone=True)

INVARIANTS = (
    invariants.Invariant(
        "billing-records-over",
        _("billing records kept for longer than the law asks for"),
        lambda at: BillingRecord.objects.over(at - OVERDUE),
        example="account_id",
    ),
)
