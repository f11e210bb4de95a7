"""Cancelling a subscription, and keeping it after all.

A cancellation is a row: who asked, when, why, from when it takes effect. It is withdrawn, or it is carried out when
the subscription is settled. Asking sets the subscription's end to the end of the current cycle, and from then on
the date decides; nothing else has to happen for access to end (design, idea 1 and idea 4).
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Self

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core import limits
from accounts.core.formats import day
from accounts.core.references import new_reference
from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.history import Actor, ActorKind
from accounts.customers.losses import as_facts
from accounts.customers.promises import OutOfDate
from accounts.mail import notices
from accounts.models import User
from accounts.support import deletion
from subscriptions import changes, losses
from subscriptions.billing import wish
from subscriptions.billing.holding import nothing_is_paid
from subscriptions.billing.wish import Cause
from subscriptions.ending import reminders
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.refunds.refund import Refunded
from subscriptions.subscription import Channel, Subscription, locked_in_order

MAX_COMMENT = 2000


class Reason(models.TextChoices):
    TOO_EXPENSIVE = "too_expensive", _("It is too expensive")
    MISSING_FEATURES = "missing_features", _("It lacks something I need")
    SWITCHED = "switched", _("I use another product")
    UNUSED = "unused", _("I don't use it enough")
    TOO_COMPLEX = "too_complex", _("It is too complicated")
    QUALITY = "quality", _("I was not satisfied with its quality")
    SUPPORT = "support", _("I was not satisfied with support")
    OTHER = "other", _("Another reason")
    #: Not chosen by anybody: the account is to be deleted, so nothing is renewed
    #: (`subscriptions.ending.account_deletion`).
    DELETION = "deletion", _("The account is to be deleted")


#: What whoever cancels can choose from.
CHOSEN = [(reason.value, reason.label) for reason in Reason if reason != Reason.DELETION]


class CannotCancelHere(Refused):
    """The subscription was bought through a channel where its owner can't cancel it in this application."""

    text = _("A subscription bought through %(channel)s is not cancelled here.")

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel=channel.label)
        self.channel = channel


class AlreadyEnded(Refused):
    text = _("The subscription is over: there is nothing left to cancel or to keep.")


class AnotherFollows(Refused):
    """It can't go on beyond its end: another subscription of the account begins then."""

    text = _("Another subscription (%(plan)s) begins on %(start)s: this one ends before it and can't be kept.")

    def __init__(self, following: Subscription) -> None:
        super().__init__(plan=following.plan.name, start=day(following.started_at))
        self.following = following


class EndsInBilling(Refused):
    """Billing has told the end (`subscriptions.ending.ending_elsewhere`): whoever keeps it here keeps nothing."""

    text = _("The billing of this subscription ends on %(end)s. It can't be kept beyond that.")


class ToBeDeleted(Refused):
    text = _(
        "The account is to be deleted, so its subscription is not renewed. Call the deletion off: then the "
        "subscription goes on as before."
    )


class CancellationQuerySet(models.QuerySet["Cancellation"]):
    def open(self) -> Self:
        """Neither withdrawn nor carried out."""
        return self.filter(withdrawn_at=None, carried_out_at=None)


class Cancellation(models.Model):
    """The owner's decision to let a subscription end."""

    reference = models.CharField(
        _("reference"), max_length=20, unique=True, default=partial(new_reference, "CAN"), editable=False
    )
    subscription = models.ForeignKey(
        Subscription,
        on_delete=models.PROTECT,
        related_name="cancellations",
        db_index=False,
        verbose_name=_("subscription"),
    )
    requested_at = models.DateTimeField(_("asked for"))
    requested_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("asked for by")
    )
    reason = models.CharField(_("reason"), max_length=20, choices=Reason.choices, blank=True)
    comment = models.TextField(_("comment"), max_length=MAX_COMMENT, blank=True)
    effective_at = models.DateTimeField(_("takes effect"))
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    withdrawn_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("withdrawn by")
    )
    carried_out_at = models.DateTimeField(_("carried out"), null=True, blank=True)

    objects = CancellationQuerySet.as_manager()

    class Meta:
        verbose_name = _("cancellation")
        verbose_name_plural = _("cancellations")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=models.Q(withdrawn_at=None, carried_out_at=None),
                name="cancellation_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(withdrawn_at=None) | models.Q(carried_out_at=None),
                name="cancellation_withdrawn_or_carried_out",
            ),
            models.CheckConstraint(
                condition=models.Q(effective_at__gte=models.F("requested_at")), name="cancellation_takes_effect_later"
            ),
            models.CheckConstraint(
                condition=models.Q(withdrawn_at=None)
                | models.Q(withdrawn_at__gte=models.F("requested_at"), withdrawn_at__lt=models.F("effective_at")),
                name="cancellation_withdrawn_in_time",
            ),
            models.CheckConstraint(
                condition=models.Q(carried_out_at=None) | models.Q(carried_out_at__gte=models.F("effective_at")),
                name="cancellation_carried_out_when_due",
            ),
            models.CheckConstraint(
                condition=models.Q(reason__in=["", *Reason.values]), name="cancellation_reason_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["subscription", "-requested_at"], name="cancellation_of_subscription"),
            # For who counts by week and reason, and reads nothing else.
            models.Index(fields=["requested_at"], include=["withdrawn_at", "reason"], name="cancellation_by_request"),
            models.Index(fields=["requested_at"], condition=~models.Q(comment=""), name="cancellation_with_comment"),
        ]

    def __str__(self) -> str:
        return self.reference


def cancel(
    subscription: Subscription,
    *,
    by: Actor,
    at: datetime,
    reason: str = "",
    comment: str = "",
    identity: Sequence[str] = (),
    promised_end: datetime | None = None,
    cause: Cause | None = None,
) -> tuple[Cancellation, bool]:
    """Let a direct subscription end with its current cycle, or with its trial. Source: facts/cancelling, 1.

    Returns the cancellation, and whether it is new: asking again while one is open changes nothing. History and the
    confirmation mail commit with it. `identity`: which facts staff compared who cancel for an owner that can't sign in
    (`accounts.support.identity.proven`), for the history. `promised_end`: the end that whoever asks was told; with
    another one nothing is done. Whoever charges for it is to be told (`subscriptions.billing.wish`), `cause` being what
    that comes from, if it is not who asks. While a payment is late, or it is suspended, it ends now, because the time
    that was paid for is over: nothing is tried again, and no end can be promised beforehand. Raises
    `CannotCancelHere`, `AlreadyEnded`, and `OutOfDate`.
    """
    with transaction.atomic():
        subscription = locked_in_order(subscription)
        if subscription.channel != Channel.DIRECT:
            raise CannotCancelHere(Channel(subscription.channel))
        if subscription.settled_at or not subscription.is_live(at):
            raise AlreadyEnded
        if existing := subscription.cancellations.open().first():
            return existing, False
        unpaid = nothing_is_paid(subscription, at)
        suspended = unpaid and subscription.is_suspended(at)
        effective_at = at if unpaid else subscription.paid_through(at)
        if subscription.ends_at:
            # Billing has told an earlier end.
            effective_at = min(effective_at, subscription.ends_at)
        if promised_end not in (None, effective_at):
            raise OutOfDate
        cancellation = Cancellation.objects.create(
            subscription=subscription,
            requested_at=at,
            requested_by=by.user,
            reason=reason,
            comment=comment,
            effective_at=effective_at,
        )
        ended_before_at = subscription.ends_at
        # Before the end is set: it is the charge at the end of the paid period that is to be stopped.
        wished_because = cause or _cause(reason, by)
        wish.want_end(subscription, effective_at, at_once=unpaid, cause=wished_because, feedback=reason, at=at)
        if unpaid:
            changes.end_locked(subscription, at=at, by=by)
        else:
            reminders.set_end(subscription, effective_at, at=at)
        tell(
            cancellation,
            SubscriptionEvent.CANCELLATION_REQUESTED,
            "cancellation_confirmed",
            ended_before_at=ended_before_at,
            by=by,
            at=at,
            identity=identity,
            suspended=suspended,
        )
    return cancellation, True


#: So often an owner keeps a cancelled subscription within an hour.
KEPT_AN_HOUR = 20


def withdraw(cancellation: Cancellation, *, by: Actor, at: datetime) -> bool:
    """Keep the subscription, until the very instant at which it ends. Returns whether anything changed.

    Raises `AlreadyEnded` from that instant on, or when settling came first, `Refunded`, `EndsInBilling`,
    `AnotherFollows`, and `ToBeDeleted` where the whole account is about to go. `TooOften` for an owner who cancels and
    keeps all the time, each with a mail: cancelling is never refused, so keeping is, until later.
    """
    with transaction.atomic():
        subscription = locked_in_order(cancellation.subscription)
        cancellation = Cancellation.objects.get(pk=cancellation.pk)
        if cancellation.withdrawn_at:
            return False
        if cancellation.carried_out_at or subscription.settled_at or not subscription.is_live(at):
            raise AlreadyEnded
        if subscription.refunds.settles().exists():
            raise Refunded
        if subscription.billed_until:
            raise EndsInBilling(end=day(subscription.billed_until))
        if deletion.scheduled(subscription.account):
            raise ToBeDeleted
        later = Subscription.objects.of(subscription.account).holding(at).exclude(pk=subscription.pk)
        if following := later.select_related("plan").order_by("started_at").first():
            raise AnotherFollows(following)
        if by.kind == ActorKind.OWNER:
            limits.limit("keep", subscription.account_id, most=KEPT_AN_HOUR, at=at)
        cancellation.withdrawn_at, cancellation.withdrawn_by = at, by.user
        cancellation.save(update_fields=["withdrawn_at", "withdrawn_by"])
        ended_before_at = subscription.ends_at
        reminders.set_end(subscription, None, at=at)
        wish.want_to_go_on(subscription, cause=_cause(cancellation.reason, by), at=at)
        tell(
            cancellation,
            SubscriptionEvent.CANCELLATION_WITHDRAWN,
            "cancellation_withdrawn",
            ended_before_at=ended_before_at,
            by=by,
            at=at,
        )
    return True


def _cause(reason: str, by: Actor) -> Cause:
    return Cause.DELETION if reason == Reason.DELETION else wish.cause_of(by)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def tell(
    cancellation: Cancellation,
    event: SubscriptionEvent,
    notice: str,
    *,
    ended_before_at: datetime | None,
    by: Actor,
    at: datetime,
    mailed: bool = True,
    elsewhere: bool = False,
    again: str = "",
    identity: Sequence[str] = (),
    suspended: bool = False,
) -> None:
    """History and the owner's mail, in the transaction of the transition.

    `elsewhere`: it was done where the subscription is paid for. `again` tells apart what is told of one cancellation
    more than once. `suspended`: so it was when it ended.
    """
    subscription = cancellation.subscription
    account = subscription.account
    history.record(
        account.pk,
        event,
        at=at,
        by=by,
        subject=cancellation,
        subscription=subscription.pk,
        reference=cancellation.reference,
        effective_at=cancellation.effective_at.isoformat(),
        # As contracts have it: when it ends now, and when it did before.
        ends_at=_iso(subscription.ends_at),
        ended_before_at=_iso(ended_before_at),
        **({"elsewhere": True} if elsewhere else {}),
        **({"identity": list(identity)} if identity else {}),
    )
    if not mailed:
        return
    if cancellation.reason == Reason.DELETION:
        # What the owner is told of it stands in the mails about the deletion.
        return
    refunded = subscription.refunds.settles().exists()
    notices.queue(
        f"subscriptions/{notice}",
        to=[account.owner()],
        account=account,
        occasion=f"{event}:{cancellation.pk}" + (f":{again}" if again else ""),
        at=at,
        reference=cancellation.reference,
        plan=subscription.plan.name,
        requested_at=cancellation.requested_at,
        effective_at=cancellation.effective_at,
        renews_at=subscription.paid_through(at),
        **({"refunded": True} if refunded else {}),
        **({"ended": True} if subscription.settled_at else {}),
        **({"suspended": True} if suspended else {}),
        **(wish.charge_facts(subscription) if event == SubscriptionEvent.CANCELLATION_WITHDRAWN else {}),
        # Who is not asked about what is done in their name learns who did it, and what to do against it.
        **({"by_support": True} if by.kind == ActorKind.STAFF and not refunded else {}),
        **({"elsewhere": True} if elsewhere else {}),
        **as_facts(losses.of(account, subscription.plan, at)),
    )
