"""Billing records: what the law wants kept of a subscription when its account is erased.

What was sold, through which channel, at which price, from when to when, under the account's id. No names, no texts,
no links to people.
"""

import uuid
from datetime import datetime
from typing import ClassVar

from dateutil.relativedelta import relativedelta
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

#: Tax and commerce law differ by country; ten years cover the longest term that is common in the EU.
KEPT_FOR = relativedelta(years=10)


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
    refunded_cents = models.PositiveIntegerField(_("refunded, in cents"), default=0)
    refunded_at = models.DateTimeField(_("refunded"), null=True, blank=True)
    kept_until = models.DateTimeField(_("kept until"))

    objects: ClassVar[models.Manager["BillingRecord"]] = models.Manager()

    class Meta:
        verbose_name = _("billing record")
        verbose_name_plural = _("billing records")
        indexes = [models.Index(fields=["ended_at"], name="billing_record_by_end")]

    def __str__(self) -> str:
        return f"{self.plan} ({self.channel}), {self.started_at:%Y-%m-%d}"


def keep(account_id: uuid.UUID, at: datetime) -> int:
    """Write down every subscription of the account; again changes nothing. Returns how many are kept."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO subscriptions_billingrecord
                   (id, account_id, plan, channel, interval, seats, cents, currency,
                    started_at, trial_ends_at, ended_at, refunded_cents, refunded_at, kept_until)
            SELECT sold.id, sold.account_id, sold.plan_id, sold.channel, sold.interval, sold.seats, sold.cents,
                   sold.currency, sold.started_at, sold.trial_ends_at, sold.ends_at, coalesce(refund.cents, 0),
                   refund.paid_at, %s
              FROM subscriptions_subscription AS sold
              LEFT JOIN subscriptions_refund AS refund
                     ON refund.subscription_id = sold.id AND refund.paid_at IS NOT NULL
             WHERE sold.account_id = %s
            ON CONFLICT DO NOTHING
            """,
            [at + KEPT_FOR, account_id],
        )
    return BillingRecord.objects.filter(account_id=account_id).count()
