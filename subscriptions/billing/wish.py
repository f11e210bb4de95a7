"""The wish: what we want the provider of a subscription to do with it, one row a subscription.

A transition writes it in its own transaction and calls nobody; the sweep `wishes` makes the provider agree. It says
what is *wanted* (to end then, to go on), never what to do: however often an owner cancels and keeps, only the newest
wish is carried out, and each has a version of its own. It is agreed when the provider's answer says so, not before, and
shown to staff while it is not and the next charge comes near.
"""

from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.jobs.due_work import DueWork, DueWorkQuerySet
from accounts.models import User
from subscriptions.subscription import Subscription


class Want(models.TextChoices):
    END = "end", _("to end")
    GO_ON = "go_on", _("to go on")


class Cause(models.TextChoices):
    """What a wish comes from."""

    OWNER = "owner", _("the owner")
    STAFF = "staff", _("support staff")
    REFUND = "refund", _("a refund")
    DELETION = "deletion", _("the account’s deletion")
    API = "api", _("the API")


class Outcome(models.TextChoices):
    """What came of the newest attempt."""

    #: It is as wished there.
    AGREED = "agreed", _("agreed")
    #: It had ended there already: nothing goes on, and nothing can be undone.
    ENDED = "ended", _("it had ended there")
    #: The next cycle had begun there before it could be stopped: what it charged is being undone.
    ROLLED_OVER = "rolled_over", _("the next cycle had begun there")
    #: Somebody else has to do something first: staff by hand, or a payment that is on its way.
    WAITING = "waiting", _("waiting")


class WishQuerySet(DueWorkQuerySet["Wish"]):
    def open(self) -> Self:
        """Which nobody has agreed to yet."""
        return self.filter(agreed_at=None)

    def pending(self) -> Self:
        return self.open()

    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))


class Wish(DueWork):
    """The newest wish about a subscription. Locked after its account and its subscription."""

    FIRST_WAIT = timedelta(seconds=30)
    LONGEST_WAIT = timedelta(minutes=15)
    LEASE = timedelta(minutes=5)
    WAITING_SINCE = "wished_at"

    subscription = models.OneToOneField(
        Subscription, on_delete=models.PROTECT, primary_key=True, related_name="wish", verbose_name=_("subscription")
    )
    want = models.CharField(_("wanted"), max_length=10, choices=Want.choices)
    #: The end that was promised; none for going on.
    wanted_end_at = models.DateTimeField(_("wanted end"), null=True, blank=True)
    #: To end now, whatever was paid for still; else with the paid period.
    at_once = models.BooleanField(_("at once"), default=False)
    cause = models.CharField(_("because of"), max_length=10, choices=Cause.choices)
    #: One of the reasons of a cancellation, as a code; empty for none. Never the comment.
    feedback = models.CharField(_("reason"), max_length=20, blank=True)
    #: One more with every new wish: what is noted of an older one no longer counts.
    version = models.PositiveIntegerField(_("version"), default=1)
    #: The newest version of which a provider may have heard, whether or not it answered.
    sent_version = models.PositiveIntegerField(_("sent"), default=0)
    wished_at = models.DateTimeField(_("wished"))
    #: The next charge, if nobody stops it.
    deadline_at = models.DateTimeField(_("next charge"))
    agreed_at = models.DateTimeField(_("agreed"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=12, choices=Outcome.choices, blank=True)
    #: What the provider answered, without personal data.
    answer: "models.JSONField[Any, Any]" = models.JSONField(_("answer"), default=dict, blank=True)
    # Staff by their ids, where it is done by hand: what they said outlives them.
    done_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("done by"),
    )
    confirmed_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("confirmed by"),
    )

    objects = WishQuerySet.as_manager()

    class Meta:
        verbose_name = _("wish")
        verbose_name_plural = _("wishes")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(want=Want.END, wanted_end_at__isnull=False)
                | models.Q(want=Want.GO_ON, wanted_end_at=None, at_once=False),
                name="wish_says_when",
            ),
            models.CheckConstraint(condition=models.Q(cause__in=Cause.values), name="wish_cause_is_known"),
            models.CheckConstraint(condition=models.Q(outcome__in=["", *Outcome.values]), name="wish_outcome_is_known"),
            models.CheckConstraint(
                condition=models.Q(agreed_at=None)
                | models.Q(agreed_at__gte=models.F("wished_at"), outcome__in=[Outcome.AGREED, Outcome.ENDED]),
                name="wish_agreed_by_an_answer",
            ),
            models.CheckConstraint(
                condition=models.Q(sent_version__lte=models.F("version")), name="wish_sent_as_wished"
            ),
        ]
        indexes = [
            # As small as what is open.
            models.Index(
                fields=["next_attempt_at", "subscription"], condition=models.Q(agreed_at=None), name="wish_due"
            ),
            models.Index(fields=["deadline_at"], condition=models.Q(agreed_at=None), name="wish_by_deadline"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id}: {self.want}, {self.version}"


def want_end(
    subscription: Subscription,
    ends_at: datetime,
    *,
    at_once: bool = False,
    cause: Cause,
    feedback: str = "",
    at: datetime,
) -> Wish | None:
    """Wish that the subscription ends at `ends_at`. In the transaction, and under the locks, of the transition."""
    raise NotImplementedError


def want_to_go_on(subscription: Subscription, *, cause: Cause, at: datetime) -> Wish | None:
    """Wish that the subscription goes on. In the transaction, and under the locks, of the transition."""
    raise NotImplementedError
