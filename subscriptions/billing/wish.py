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

from accounts.customers.history import Actor, ActorKind
from accounts.jobs.due_work import DueWork, DueWorkQuerySet
from accounts.models import User
from subscriptions.billing.holding import Holding
from subscriptions.subscription import Channel, Subscription


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
    deadline_at: datetime | None = None,
    at: datetime,
) -> Wish | None:
    """Wish that the subscription ends at `ends_at`. In the transaction, and under the locks, of the transition.

    `deadline_at`: the next charge, if it is another than that of the end of the paid period. Returns the wish; None
    where nobody charges (no direct subscription, or one for nothing), or where billing itself has told such an end.
    The same wish again is the one that stands, and an end at once stands whatever is wished after it.
    """
    told = subscription.billed_until is not None and subscription.billed_until <= ends_at
    if not is_charged(subscription) or told:
        return None
    before = Wish.objects.locked().filter(pk=subscription.pk).first()
    if before and before.want == Want.END and (before.at_once or (not at_once and before.wanted_end_at == ends_at)):
        return before
    wish = _next(before, subscription, Want.END, cause, deadline_at or subscription.paid_through(at), at)
    wish.wanted_end_at, wish.at_once, wish.feedback = ends_at, at_once, feedback
    if before and before.want == Want.END and before.agreed_at and not subscription.held_by:
        # The renewal is stopped already. Where nobody else keeps the dates there is nothing more to be asked.
        _take_as_agreed(wish, at)
    wish.save()
    return wish


def want_to_go_on(subscription: Subscription, *, cause: Cause, at: datetime) -> Wish | None:
    """Wish that the subscription goes on. In the transaction, and under the locks, of the transition.

    Returns the wish; None where nobody was ever asked to end it. One of which nobody can have heard is taken back here.
    """
    if not is_charged(subscription):
        return None
    before = Wish.objects.locked().filter(pk=subscription.pk).first()
    ends_there = Holding.objects.filter(pk=subscription.pk, due_end_at__isnull=False).exists()
    if before is None and not ends_there:
        return None
    if before and before.want == Want.GO_ON:
        return before
    wish = _next(before, subscription, Want.GO_ON, cause, subscription.paid_through(at), at)
    if before and not before.sent_version and not ends_there:
        _take_as_agreed(wish, at)
    wish.save()
    return wish


def heard_from_billing(subscription: Subscription, ends_at: datetime, *, at: datetime) -> None:
    """Billing has told that it ends at `ends_at`: a wish that it ends no earlier is thereby agreed.

    One that it goes on has come too late. In the transaction, and under the locks, of who writes the end down.
    """
    wish = Wish.objects.locked().open().filter(pk=subscription.pk).first()
    if wish is None or (wish.wanted_end_at is not None and wish.wanted_end_at < ends_at):
        return
    wish.agreed_at = max(at, wish.wished_at)
    wish.outcome = Outcome.AGREED if wish.want == Want.END else Outcome.ENDED
    wish.answer, wish.last_error = {"told": ends_at.isoformat()}, ""
    wish.save(update_fields=["agreed_at", "outcome", "answer", "last_error"])


def is_charged(subscription: Subscription) -> bool:
    """Whether a charge of it must be stopped by somebody: a marketplace and the sales team see to their own."""
    return subscription.channel == Channel.DIRECT and (subscription.cents > 0 or subscription.held_by != "")


def charge_facts(subscription: Subscription) -> dict[str, str]:
    """For a mail: whether whoever charges has agreed to the newest wish; nothing where nobody was asked.

    `charge` is `stopped`, `being_stopped`, or `being_resumed`. What goes on as agreed is no news. `paid_back`: what is
    charged after the end all the same goes back by itself, because a provider does that when it is asked.
    """
    newest = Wish.objects.filter(pk=subscription.pk).first()
    if newest is None:
        return {}
    if newest.want == Want.END:
        if newest.agreed_at:
            return {"charge": "stopped"}
        return {"charge": "being_stopped", **({"paid_back": "by itself"} if subscription.held_by else {})}
    return {} if newest.agreed_at else {"charge": "being_resumed"}


def cause_of(by: Actor) -> Cause:
    """What a wish comes from, by who acts; a refund and a deletion say so themselves."""
    match by.kind:
        case ActorKind.OWNER:
            return Cause.OWNER
        case ActorKind.STAFF:
            return Cause.STAFF
        case ActorKind.SYSTEM:
            return Cause.DELETION
    return Cause.API


def _next(
    before: Wish | None, subscription: Subscription, want: Want, cause: Cause, deadline_at: datetime, at: datetime
) -> Wish:
    """The next version of the wish, due now, with nothing noted on it. Not saved."""
    return Wish(
        subscription=subscription,
        want=want,
        cause=cause,
        version=before.version + 1 if before else 1,
        sent_version=before.sent_version if before else 0,
        wished_at=at,
        deadline_at=deadline_at,
        next_attempt_at=at,
    )


def _take_as_agreed(wish: Wish, at: datetime) -> None:
    wish.agreed_at, wish.outcome, wish.answer = at, Outcome.AGREED, {"asked": False}
