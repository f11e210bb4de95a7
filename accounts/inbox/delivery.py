"""A delivery: one message of a source's, stored as it came."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import DataError, models
from django.utils.translation import gettext_lazy as _

from accounts.core.errors import describe, storable
from accounts.inbox.sources import LONGEST, mode_choices, source_choices
from accounts.jobs.due_work import DueWork, DueWorkQuerySet


class Unprocessable(Exception):
    """The delivery can't be processed as it is, however often it is tried: it is parked for staff."""


class DeliveryOutcome(models.TextChoices):
    APPLIED = "applied", _("applied")
    NO_CHANGE = "no_change", _("nothing to change")
    STALE = "stale", _("older than what is known")
    REPEATED = "repeated", _("a body that came before: left to the sender's own answer")
    ASKED = "asked", _("left to the sender's own answer")
    TEST = "test", _("a test: nothing of a customer's")
    UNKNOWN = "unknown", _("of a kind that is not known here")


class DeliveryQuerySet(DueWorkQuerySet["Delivery"]):
    def unprocessed(self) -> Self:
        return self.filter(processed_at=None)

    def pending(self) -> Self:
        return self.unprocessed()

    def with_texts(self) -> Self:
        """Those that still hold what somebody wrote, or what somebody is called."""
        return self.filter(models.Q(body__isnull=False) | ~models.Q(external_account="", last_error="", alert=""))

    def parked(self) -> Self:
        """Those that can't be processed as they are; staff look at them."""
        return self.unprocessed().filter(next_attempt_at=None)


class Delivery(DueWork):
    """The inbox's row. Kept raw, so that its signature can be checked again and it can be processed again."""

    FIRST_WAIT = timedelta(seconds=30)
    WAITING_SINCE = "received_at"
    OVERDUE = timedelta(minutes=10)

    source = models.CharField(_("source"), max_length=LONGEST, choices=source_choices)
    #: Through what it was sent: several hooks that reach one address may give one event the same id.
    hook = models.CharField(_("hook"), max_length=40, blank=True, default="", db_default="")
    mode = models.CharField(
        _("mode"),
        db_column="listing",
        max_length=LONGEST,
        choices=mode_choices,
        blank=True,
        default="",
        db_default="",
    )
    delivery_id = models.CharField(_("delivery id"), max_length=200)
    event = models.CharField(_("event"), max_length=100)
    content_type = models.CharField(_("content type"), max_length=100, blank=True)
    #: The body, byte for byte; emptied when it is no longer needed.
    body = models.BinaryField(_("body"), null=True)
    #: The sender's ids of all accounts and people that the body names, whether or not it could be processed: so
    #: that it goes when one of them does.
    named = ArrayField(models.CharField(max_length=40), verbose_name=_("named"), null=True, blank=True)
    #: SHA-256 of the body: shows a captured body that is sent again under another id.
    digest = models.BinaryField(max_length=32)
    received_at = models.DateTimeField(_("received"))
    #: Filled in by processing: what the message said it was, and which account it was about.
    action = models.CharField(_("action"), max_length=100, blank=True)
    account_id = models.UUIDField(_("account"), null=True, blank=True, db_index=True)
    #: What the sender calls that account.
    external_account = models.CharField(
        _("account at the sender"), db_column="marketplace_account", max_length=60, blank=True
    )
    processed_at = models.DateTimeField(_("processed"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=20, choices=DeliveryOutcome.choices, blank=True)
    #: What staff should know though it was processed, such as a date that could not be read.
    alert = models.CharField(_("alert"), max_length=300, blank=True)
    #: None while unprocessed: parked, until staff have it processed again.
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        db_table = "marketplace_delivery"
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["source", "hook", "delivery_id"], name="delivery_is_unique"),
            models.CheckConstraint(
                condition=models.Q(processed_at=None) | ~models.Q(outcome=""), name="delivery_processed_has_an_outcome"
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at", "id"], condition=models.Q(processed_at=None), name="delivery_due"),
            # As small as what fails, and as what staff should look at.
            models.Index(
                fields=["next_attempt_at", "id"],
                condition=models.Q(models.Q(attempts__gt=0) | models.Q(next_attempt_at=None), processed_at=None),
                name="delivery_failing",
            ),
            models.Index(fields=["id"], condition=~models.Q(alert=""), name="delivery_alert"),
            models.Index(fields=["digest", "received_at"], name="delivery_digest"),
            models.Index(fields=["external_account", "-received_at"], name="delivery_of_customer"),
            # Both as small as the bodies that are kept.
            GinIndex(fields=["named"], condition=models.Q(body__isnull=False), name="delivery_by_named"),
            models.Index(fields=["received_at"], condition=models.Q(body__isnull=False), name="delivery_with_a_body"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.delivery_id}"

    def fail(self, error: Exception, at: datetime) -> None:
        """Try again later; park what no later attempt can process: staff have it processed again, if anybody."""
        # As far as it could be read: staff search by it, and a purge finds it by it.
        read: dict[str, Any] = {
            "action": storable(self.action),
            "external_account": storable(self.external_account),
        }
        if isinstance(error, Unprocessable):
            self._park(storable(str(error)), **read)
        elif isinstance(error, DataError):
            # A value that no column holds, and never will.
            self._park(describe(error), **read)
        else:
            self.put_off(describe(error), at, **read)

    def _park(self, why: str, **read: str) -> None:
        Delivery.objects.unprocessed().filter(pk=self.pk).update(
            attempts=self.attempts + 1, last_error=why, next_attempt_at=None, **read
        )
