"""What one endpoint is still to hear, and what it answered.

A `Dispatch` is one series of attempts to get one message to one endpoint; a replay is another series. They wait in
lanes: a `Lane` is what one endpoint is to hear of one account, in order. Who sends takes a whole lane, so nobody else
can overtake within it.
"""

import random
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.events.endpoint import Endpoint
from accounts.events.message import EventMessage
from accounts.jobs.due_work import DueWork, DueWorkQuerySet

#: The pauses before each attempt after the first (Standard Webhooks 1.0, its example): ten attempts in 75 h 35 min.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
MOST_ATTEMPTS = len(PAUSES) + 1
#: A pause is longer or shorter by so much at most, so that what failed together does not come again together.
JITTER = 0.2
#: After so many failures a message no longer holds up the later ones of its account.
STEPS_ASIDE_AFTER = 3
#: A receiver may ask to be left alone for so long at most.
LONGEST_PAUSE = timedelta(hours=24)
#: What a test is called; no message of an account is.
TEST_TYPE = "endpoint.test"
#: Of an answer so much is kept, for whoever looks for what went wrong.
MAX_ANSWER = 500


class DispatchQuerySet(DueWorkQuerySet["Dispatch"]):
    def pending(self) -> Self:
        """Still to be delivered, by an endpoint that is on or one that is off."""
        return self.filter(delivered_at=None, given_up_at=None)

    def tests(self) -> Self:
        return self.filter(message=None)

    def undelivered(self) -> Self:
        """What an endpoint has not got: waiting, or given up and not sent again since."""
        again = Dispatch.objects.filter(
            endpoint=models.OuterRef("endpoint"), message=models.OuterRef("message"), pk__gt=models.OuterRef("pk")
        )
        return self.filter(delivered_at=None, message__isnull=False).exclude(
            models.Q(given_up_at__isnull=False) & models.Exists(again)
        )

    def overdue(self, at: datetime) -> Self:
        """Waiting for longer than it should, for an endpoint that is on."""
        return super().overdue(at).filter(endpoint__off_at=None, endpoint__removed_at=None)


class Dispatch(DueWork):
    """One series. `attempts` counts those that failed; `last_error` says why the last one did."""

    WAITING_SINCE = "made_at"
    OVERDUE: ClassVar[timedelta] = timedelta(hours=1)

    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.CASCADE, related_name="dispatches", db_index=False, verbose_name=_("endpoint")
    )
    #: None: a test, about nobody (`accounts.events.managing.test`).
    message = models.ForeignKey(
        EventMessage,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="dispatches",
        verbose_name=_("message"),
    )
    #: The message's, for the order; None for a test.
    account_id = models.UUIDField(_("account"), null=True, blank=True)
    made_at = models.DateTimeField(_("made"))
    #: Somebody has asked for the message to be sent again.
    is_replay = models.BooleanField(_("replay"), default=False)
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True)
    #: When the last of all attempts had failed. It can be replayed, as long as its message is kept.
    given_up_at = models.DateTimeField(_("given up"), null=True, blank=True)
    #: The last attempt: when, the status that came back if one did, how long it took, how the answer begins.
    tried_at = models.DateTimeField(_("last attempt"), null=True, blank=True)
    status = models.PositiveSmallIntegerField(_("status"), null=True, blank=True)
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    answer = models.TextField(_("answer"), blank=True, default="")

    objects = DispatchQuerySet.as_manager()

    class Meta:
        verbose_name = _("dispatch")
        verbose_name_plural = _("dispatches")
        constraints = [
            # However often a message is fanned out.
            models.UniqueConstraint(
                fields=["message", "endpoint"], condition=models.Q(is_replay=False), name="dispatch_first_series_once"
            ),
            models.UniqueConstraint(
                fields=["message", "endpoint"],
                condition=models.Q(delivered_at=None, given_up_at=None),
                name="dispatch_one_pending_series",
            ),
            models.CheckConstraint(
                condition=models.Q(delivered_at=None) | models.Q(given_up_at=None), name="dispatch_ends_once"
            ),
            models.CheckConstraint(
                condition=models.Q(message=None, account_id=None)
                | models.Q(message__isnull=False, account_id__isnull=False),
                name="dispatch_of_an_account_or_a_test",
            ),
        ]
        indexes = [
            # Each lane in its order; as small as what waits.
            models.Index(
                fields=["endpoint", "account_id", "id"],
                condition=models.Q(delivered_at=None, given_up_at=None),
                name="dispatch_lane",
            ),
            models.Index(
                fields=["made_at"], condition=models.Q(delivered_at=None, given_up_at=None), name="dispatch_waiting"
            ),
            models.Index(fields=["endpoint", "-id"], name="dispatch_newest"),
            models.Index(fields=["account_id", "-id"], name="dispatch_of_an_account"),
            models.Index(fields=["endpoint", "made_at", "id"], name="dispatch_by_age"),
            models.Index(
                fields=["given_up_at"], condition=models.Q(given_up_at__isnull=False), name="dispatch_given_up"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message or TEST_TYPE} → {self.endpoint_id}"

    @property
    def type(self) -> str:
        return self.message.type if self.message else TEST_TYPE

    @property
    def state(self) -> str:
        if self.delivered_at:
            return str(_("delivered"))
        return str(_("given up")) if self.given_up_at else str(_("waiting"))

    @staticmethod
    def pause_before(attempt: int, *, of: object) -> timedelta | None:
        """The pause before this attempt, counted from 1, of the series `of`; None where there is none any more.

        The jitter is always the same for the same attempt of the same series.
        """
        if attempt > MOST_ATTEMPTS:
            return None
        if attempt == 1:
            return timedelta(0)
        spread = random.Random(f"{of}:{attempt}").uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # hides nothing
        return PAUSES[attempt - 2] * spread


class Lane(models.Model):
    """What one endpoint is still to hear of one account: claimed as a whole, by one sender at a time."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="+", db_index=False)
    account_id = models.UUIDField(_("account"))
    #: When its next message may be tried; None: nothing waits.
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    #: Until then it is some sender's; later it was killed.
    leased_until = models.DateTimeField(_("leased until"), null=True, blank=True)

    class Meta:
        verbose_name = _("lane")
        verbose_name_plural = _("lanes")
        constraints = [models.UniqueConstraint(fields=["endpoint", "account_id"], name="lane_one_of_an_account")]
        indexes = [
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                condition=models.Q(next_attempt_at__isnull=False),
                name="lane_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} → {self.endpoint_id}"
