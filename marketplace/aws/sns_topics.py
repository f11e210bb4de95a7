"""Subscriptions to SNS topics: a topic asks, we confirm by the API. The `aws-confirm` sweep.

A topic's first message carries a token that confirms the subscription. The message says to open an address; that is
never done (facts/aws-marketplace, 2.11): the token goes into a call to SNS, of our own making, and only while
`AWS_SNS_CONFIRM_SUBSCRIPTIONS` is on. A topic that says that we were unsubscribed is told to staff and left alone,
because its address would subscribe again.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core import strict_json
from accounts.core.encryption import Undecipherable, decrypt, encrypt
from accounts.inbox import inbox
from accounts.inbox.delivery import Delivery, DeliveryOutcome
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import DueWork, DueWorkQuerySet, NotYet, run_due
from marketplace.aws import client
from marketplace.aws.sns import SUBSCRIPTION, UNSUBSCRIPTION

#: A token is of use for so long.
TOKEN_LIFE = timedelta(days=2)
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=1)
UNSUBSCRIBED = (
    "AWS ended the subscription of this topic: its messages no longer come. Subscribe again if it was not you."
)


class TopicSubscriptionQuerySet(DueWorkQuerySet["TopicSubscription"]):
    def waiting(self) -> Self:
        """Asked and not confirmed, with a token that is or was of use."""
        return self.filter(token__isnull=False)

    def pending(self) -> Self:
        return self.waiting()

    def due(self, at: datetime) -> Self:
        """To be confirmed at `at`; while that is switched off, only what waits for its token to be forgotten."""
        due = super().due(at)
        return due if settings.AWS_SNS_CONFIRM_SUBSCRIPTIONS else due.filter(asked_at__lte=at - TOKEN_LIFE)


class TopicSubscription(DueWork):
    """Where we stand with one topic."""

    WAITING_SINCE = "asked_at"

    topic = models.CharField(_("topic"), max_length=300, unique=True)
    #: Encrypted, shown nowhere, and gone when it has been used or is of no use any more.
    token = models.BinaryField(null=True, editable=False)
    asked_at = models.DateTimeField(_("asked"))
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended by AWS"), null=True, blank=True)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)

    objects = TopicSubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("topic subscription")
        verbose_name_plural = _("topic subscriptions")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(token=None, next_attempt_at=None)
                | models.Q(token__isnull=False, next_attempt_at__isnull=False, confirmed_at=None),
                name="topic_token_gone_when_confirmed",
            ),
        ]

    def __str__(self) -> str:
        return self.topic

    @property
    def expires_at(self) -> datetime:
        """When the token is of no use any more."""
        return self.asked_at + TOKEN_LIFE


def handle_confirmation(delivery: Delivery, at: datetime) -> DeliveryOutcome:
    """A topic asks to be confirmed, or says that it sends no more. Part of the inbox's transaction."""
    message = _message_in(delivery)
    kind, topic, sent_at = message["Type"], message["TopicArn"], datetime.fromisoformat(message["Timestamp"])
    delivery.action = kind[:100]
    # Both hold a token with which anybody could subscribe. It is kept in one place, encrypted.
    delivery.body = None
    if topic not in settings.AWS_SNS_TOPIC_ARNS:
        # Taken off the list between receiving and processing.
        return DeliveryOutcome.NO_CHANGE
    if kind == UNSUBSCRIPTION:
        return _end(delivery, topic, sent_at)
    if kind == SUBSCRIPTION:
        return _ask(topic, message["Token"], sent_at, at)
    raise inbox.Unprocessable(f"SNS has no messages of type {kind}.")


def preview(at: datetime) -> Iterator[str]:
    """What `confirm_due` would do at `at`, a line each."""
    for row in TopicSubscription.objects.due(at):
        expired = at >= row.expires_at
        yield f"{row.topic}: {'forget the token, it has expired' if expired else 'confirm the subscription'}"


def confirm_due(at: datetime) -> int:
    """Confirm what waits, and forget tokens that are of no use any more. Returns how many subscriptions changed."""
    return run_due(TopicSubscription.objects.due, _confirm, at=at, run=RUN)


def _confirm(row: TopicSubscription, at: datetime) -> bool:
    if at >= row.expires_at:
        return _settle(row, token=None, next_attempt_at=None, last_error="The token expired unused.")
    assert row.token is not None, "due rows have one"
    try:
        client.confirm_subscription(row.topic, decrypt(row.token), at=at)
    except (client.AwsError, Undecipherable) as error:
        raise NotYet(str(error)) from error
    return _settle(row, token=None, next_attempt_at=None, confirmed_at=at, ended_at=None, last_error="")


def _settle(row: TopicSubscription, **changes: object) -> bool:
    """Write what came of it, unless the topic has asked anew meanwhile."""
    return TopicSubscription.objects.filter(pk=row.pk, asked_at=row.asked_at, confirmed_at=None).update(**changes) > 0


def _ask(topic: str, token: str, sent_at: datetime, at: datetime) -> DeliveryOutcome:
    fresh = {"token": encrypt(token), "asked_at": sent_at, "next_attempt_at": at}
    row, created = TopicSubscription.objects.select_for_update(no_key=True).get_or_create(topic=topic, defaults=fresh)
    if created:
        return DeliveryOutcome.APPLIED
    if sent_at <= row.asked_at or (row.ended_at and sent_at < row.ended_at):
        return DeliveryOutcome.STALE
    # Asked again: of a subscription that is confirmed SNS asks nothing, so it is a new one.
    row.token, row.asked_at, row.next_attempt_at = fresh["token"], sent_at, at
    row.confirmed_at, row.attempts, row.last_error = None, 0, ""
    row.save()
    return DeliveryOutcome.APPLIED


def _end(delivery: Delivery, topic: str, sent_at: datetime) -> DeliveryOutcome:
    row, created = TopicSubscription.objects.select_for_update(no_key=True).get_or_create(
        topic=topic, defaults={"asked_at": sent_at, "ended_at": sent_at}
    )
    if not created:
        if sent_at < row.asked_at:
            return DeliveryOutcome.STALE
        row.ended_at, row.confirmed_at, row.token, row.next_attempt_at = sent_at, None, None, None
        row.save()
    delivery.alert = UNSUBSCRIBED
    return DeliveryOutcome.APPLIED


def _message_in(delivery: Delivery) -> dict[str, str]:
    if delivery.body is None:
        raise inbox.Unprocessable("The body is no longer kept.")
    message = strict_json.parse(bytes(delivery.body))
    if not isinstance(message, dict):
        raise inbox.Unprocessable("The JSON is not an object.")
    return message


SWEEP = sweeps.Sweep("aws-confirm", run=confirm_due, preview=preview, late_after=timedelta(minutes=30))

INVARIANTS = (
    invariants.Invariant(
        "topic-unconfirmed",
        _("topics wait to be confirmed: check that you subscribed, then set AWS_SNS_CONFIRM_SUBSCRIPTIONS=1"),
        lambda at: TopicSubscription.objects.waiting(),
        example="topic",
        warning=True,
    ),
    invariants.Invariant(
        "topic-silent",
        _("topics send nothing: not confirmed within two days, or ended by AWS; request a confirmation again"),
        lambda at: TopicSubscription.objects.filter(token=None, confirmed_at=None),
        example="topic",
        warning=True,
    ),
)
