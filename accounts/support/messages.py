"""The conversation about a request: what the customer adds, what we answer.

The texts lie here and nowhere else: pages, mails and the export read them from these rows, and they go with the
account. What staff write for each other is kept apart, in `accounts.support.internal_notes`.
"""

from datetime import datetime

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core import limits
from accounts.core.refusal import Refused
from accounts.core.text import wording
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor, ActorKind
from accounts.customers.user import User
from accounts.support.requests import (
    ANSWER_WITHIN,
    MAX_MESSAGE,
    MOST_AN_HOUR,
    RequestKind,
    SupportRequest,
    locked_open,
)


class Side(models.TextChoices):
    CUSTOMER = "customer", _("customer")
    SUPPORT = "support", _("support")


#: So many messages in a row are taken: a conversation is as long as both sides make it, not one alone.
MOST_UNANSWERED = 20


class CustomersOnly(Refused):
    text = _("Only members of the account write here; staff answer.")


class OurTurn(Refused):
    text = _("We have your last messages and will answer them first. What is new can wait for our answer.")


class Message(models.Model):
    """One text about a request, shown to the customer."""

    request = models.ForeignKey(
        SupportRequest, on_delete=models.PROTECT, db_index=False, related_name="messages", verbose_name=_("request")
    )
    side = models.CharField(_("from"), max_length=10, choices=Side.choices)
    text = models.TextField(_("text"), max_length=MAX_MESSAGE)
    written_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("written by")
    )
    written_at = models.DateTimeField(_("written"))

    objects: "models.Manager[Message]" = models.Manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["written_at", "id"]
        indexes = [models.Index(fields=["request", "written_at", "id"], name="message_of_request")]
        constraints = [
            models.CheckConstraint(condition=models.Q(side__in=Side.values), name="message_side_is_known"),
            models.CheckConstraint(condition=~models.Q(text=""), name="message_says_something"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id}, {self.written_at:%Y-%m-%d %H:%M}Z"


def write_further(request: SupportRequest, *, text: str, by: Actor, at: datetime) -> tuple[Message, bool]:
    """Add a customer's message to an open request: it waits for us again. Returns it, and whether it is new.

    What was promised for an answer counts from here, if we had answered; the legal month of a deletion never moves.
    The same text once more is the first one again. Raises `RequestClosed`, `NoText`, `TextTooLong`, `CustomersOnly`;
    `TooOften`, and `OurTurn` once `MOST_UNANSWERED` messages wait for us.
    """
    if by.kind not in (ActorKind.OWNER, ActorKind.MEMBER):
        raise CustomersOnly
    with transaction.atomic():
        request = locked_open(request)
        message, new = add(request, Side.CUSTOMER, text=text, by=by, at=at)
        if not new:
            return message, False
        limits.limit("message", by.user.pk if by.user else "", most=MOST_AN_HOUR, at=at)
        if _unanswered(request) > MOST_UNANSWERED:
            raise OurTurn
        if request.answered_at and request.kind != RequestKind.DELETION:
            request.due_at = at + ANSWER_WITHIN[request.kind]
        request.answered_at = None
        request.save(update_fields=["answered_at", "due_at"])
        history.record(request.account_id, AccountEvent.REQUEST_ADDED_TO, at=at, by=by, reference=request.reference)
    return message, True


def _unanswered(request: SupportRequest) -> int:
    """How many messages the customer has written since we last did."""
    last = request.messages.filter(side=Side.SUPPORT).order_by("-written_at", "-pk").first()
    since = request.messages.filter(written_at__gte=last.written_at, side=Side.CUSTOMER) if last else request.messages
    return since.count()


def add(request: SupportRequest, side: Side, *, text: str, by: Actor, at: datetime) -> tuple[Message, bool]:
    """Add a text in the caller's transaction and under its lock. A form that was sent twice adds one."""
    text = wording(text, limit=MAX_MESSAGE)
    last = request.messages.order_by("-written_at", "-pk").first()
    if last and (last.side, last.text, last.written_by_id) == (side, text, by.user.pk if by.user else None):
        return last, False
    return Message.objects.create(request=request, side=side, text=text, written_by=by.user, written_at=at), True
