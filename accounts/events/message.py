"""What the vendor's other systems are told: messages, each about one change of one account.

A message is a row in the transaction of the change, written with its line of history (`accounts.events.telling`), so
none is lost and none is early. The `events` sweep publishes it (`accounts.events.publishing`): only then has it a place
in the feed, a number in the sequence of its account, and the bytes that are sent, which never change again. Nothing in
it names a person: ids, dates, codes and counts.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

import pgtrigger
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

#: Of the payloads. Within a version a field is never removed or given another meaning; new ones may come.
VERSION = "2026-12"
#: Messages can be fetched and sent again for so long.
KEPT_FOR = timedelta(days=30)
#: What the body says of these before the message is published; `accounts.events.publishing` puts both in.
UNPUBLISHED = '"sequence":null,"recorded_at":null'


class EventMessageQuerySet(models.QuerySet["EventMessage"]):
    def published(self) -> Self:
        """Those that the feed shows and endpoints get, in the order of the feed."""
        return self.exclude(position=None).order_by("position")

    def waiting(self) -> Self:
        """Not published yet, in the order in which they were written: that of their account, too."""
        return self.filter(position=None).order_by("id")

    def of(self, account_id: uuid.UUID) -> Self:
        return self.filter(account_id=account_id)

    def old(self, at: datetime) -> Self:
        """Kept for long enough at `at`, sent or not."""
        return self.filter(recorded_at__lt=at - KEPT_FOR)


class EventMessage(models.Model):
    """One message. Its `id` is the order of writing, its `position` that of the feed: another one, see `publishing`."""

    #: The same in every attempt and in the feed: by it a receiver knows what it has had already.
    webhook_id = models.UUIDField(_("message"), unique=True, default=uuid.uuid4, editable=False)
    #: No constraint: `account.erased` is told when there is no account any more.
    account_id = models.UUIDField(_("account"))
    type = models.CharField(_("type"), max_length=60)
    version = models.CharField(_("version"), max_length=10, default=VERSION)
    #: JSON; once it is published, just what is sent.
    body = models.TextField(_("body"))
    #: When it took effect: the `at` of the transition.
    happened_at = models.DateTimeField(_("happened"))
    recorded_at = models.DateTimeField(_("recorded"), db_default=Now(), editable=False)
    #: One sequence an account, from 1, without a gap; None until it is published, as `position` is.
    sequence = models.PositiveBigIntegerField(_("number"), null=True, blank=True)
    position = models.PositiveBigIntegerField(_("position"), null=True, blank=True, unique=True)

    objects = EventMessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("event message")
        verbose_name_plural = _("event messages")
        constraints = [
            models.UniqueConstraint(fields=["account_id", "sequence"], name="event_message_sequence_is_unique"),
            models.CheckConstraint(
                condition=models.Q(sequence=None, position=None)
                | models.Q(sequence__isnull=False, position__isnull=False),
                name="event_message_published_or_not",
            ),
        ]
        indexes = [
            # As small as what waits.
            models.Index(fields=["id"], condition=models.Q(position=None), name="event_message_waiting"),
            models.Index(fields=["recorded_at"], name="event_message_by_age"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="published_is_fixed",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__position__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.happened_at:%Y-%m-%d %H:%M:%S}Z"

    @property
    def payload(self) -> bytes:
        """The body as it is signed and sent, byte for byte."""
        return self.body.encode()


class EventStream(models.Model):
    """How far the telling of one account has come. Written by publishing alone, one run at a time.

    Stays when the account is erased, for `account.erased`, and goes with the last of its messages.
    """

    account_id = models.UUIDField(_("account"), primary_key=True)
    #: The last number of its sequence.
    last = models.PositiveBigIntegerField(_("last number"), default=0)
    #: What `entitlements.changed` said last; None: it was never told.
    entitlements: "models.JSONField[Any, Any]" = models.JSONField(_("entitlements told"), null=True, blank=True)
    #: When that ceases to be true by a date alone.
    entitlements_until = models.DateTimeField(_("told until"), null=True, blank=True)

    class Meta:
        verbose_name = _("event stream")
        verbose_name_plural = _("event streams")
        indexes = [
            models.Index(
                fields=["entitlements_until"],
                condition=models.Q(entitlements_until__isnull=False),
                name="event_stream_until",
            )
        ]

    def __str__(self) -> str:
        return str(self.account_id)
