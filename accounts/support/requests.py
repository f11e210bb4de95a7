"""Requests to support: a refund, the deletion of account and data, anything else.

The row, and asking. What is said about a request afterwards is in `accounts.support.messages`, what staff do with it in
`accounts.support.answers`. Transitions lock the account first, then the request.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from dateutil.relativedelta import relativedelta
from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.core import limits
from accounts.core.references import new_reference
from accounts.core.refusal import Refused
from accounts.core.text import wording
from accounts.core.write_guard import BeingErased, refused_while_erasing
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor, ActorKind
from accounts.customers.staff import staff_member
from accounts.customers.user import User
from accounts.jobs import invariants
from accounts.mail.notices import queue
from accounts.support.identity import IdentityFact, proven
from accounts.support.routing import route_of

#: GDPR art. 12(3): an answer to a request for erasure within one month.
DELETION_ANSWER = relativedelta(months=1)
#: What we promise by ourselves: money is waited for, and three days hold a weekend.
REFUND_ANSWER = relativedelta(days=5)
OTHER_ANSWER = relativedelta(days=3)
#: Staff are shown what is due within so long: time to act before it is late.
SOON = timedelta(days=2)

MAX_MESSAGE = 5000
#: So many requests, or messages to them, from one person within an hour: more than anybody has to say.
MOST_AN_HOUR = 20
MAX_CASE_NUMBER = 100


class RequestKind(models.TextChoices):
    REFUND = "refund", _("A refund")
    DELETION = "deletion", _("Deletion of the account and all data")
    OTHER = "other", _("Something else")


ANSWER_WITHIN: dict[str, relativedelta] = {
    RequestKind.REFUND: REFUND_ANSWER,
    RequestKind.DELETION: DELETION_ANSWER,
    RequestKind.OTHER: OTHER_ANSWER,
}

#: What only the owner may ask for, because only the owner may decide it.
OWNER_ONLY = frozenset({RequestKind.REFUND, RequestKind.DELETION})


class State(models.TextChoices):
    """How a request stands, as its timestamps say."""

    WAITING = "waiting", pgettext_lazy("request", "waits for our answer")
    ANSWERED = "answered", pgettext_lazy("request", "answered")
    CLOSED = "closed", pgettext_lazy("request", "closed")


class RequestOutcome(models.TextChoices):
    ANSWERED = "answered", pgettext_lazy("request", "answered")
    REFUNDED = "refunded", pgettext_lazy("request", "refunded")
    DELETED = "deleted", pgettext_lazy("request", "deleted")
    DECLINED = "declined", pgettext_lazy("request", "declined")
    CALLED_OFF = "called_off", pgettext_lazy("request", "called off")


class RequestClosed(Refused):
    text = _("This request is closed. What is new needs a new request.")


class SupportRequestQuerySet(models.QuerySet["SupportRequest"]):
    def open(self) -> Self:
        """Those that staff have not closed."""
        return self.filter(closed_at=None)

    def waiting(self) -> Self:
        """Open ones whose customer waits for us; of a deletion until it is decided, whatever has been written."""
        return self.open().filter(models.Q(answered_at=None) | models.Q(kind=RequestKind.DELETION, decided_at=None))

    def overdue(self, at: datetime) -> Self:
        """Those that should have been answered by `at`."""
        return self.waiting().filter(due_at__lte=at)

    def due_soon(self, at: datetime) -> Self:
        """Those to be answered within the next two days."""
        return self.waiting().filter(due_at__gt=at, due_at__lte=at + SOON)

    def assigned_to(self, user: User) -> Self:
        return self.filter(assigned_to=user)

    def unassigned(self) -> Self:
        return self.filter(assigned_to=None)


class SupportRequest(models.Model):
    """A customer's message to support. Open until staff close it."""

    reference = models.CharField(
        _("reference"), max_length=20, unique=True, default=partial(new_reference, "REQ"), editable=False
    )
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="requests", verbose_name=_("account"))
    kind = models.CharField(_("about"), max_length=10, choices=RequestKind.choices)
    message = models.TextField(_("message"), max_length=MAX_MESSAGE, blank=True)
    made_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("made by"))
    made_at = models.DateTimeField(_("made"))
    #: Set when staff made it for a customer who can't sign in: which facts they compared.
    identity: "ArrayField[Any, Any]" = ArrayField(
        models.CharField(max_length=30, choices=IdentityFact.choices),
        verbose_name=_("identity, by"),
        default=list,
        blank=True,
    )
    due_at = models.DateTimeField(_("answer due"), null=True, blank=True)
    #: Set when the legal month was extended, which can be done once; until then it was due at `first_due_at`.
    extended_at = models.DateTimeField(_("extended"), null=True, blank=True)
    first_due_at = models.DateTimeField(_("first due"), null=True, blank=True)
    # Staff by their ids, here as elsewhere: what they did outlives them.
    assigned_to = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("assigned to"),
    )
    assigned_at = models.DateTimeField(_("assigned"), null=True, blank=True)
    #: When we answered; empty again as soon as the customer has written more.
    answered_at = models.DateTimeField(_("answered"), null=True, blank=True)
    #: When what was asked for was approved: a deletion or a refund that is now under way.
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    #: What the marketplace calls it, where the marketplace pays.
    case_number = models.CharField(_("case at the marketplace"), max_length=MAX_CASE_NUMBER, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=10, choices=RequestOutcome.choices, blank=True)

    objects = SupportRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")
        indexes = [
            models.Index(fields=["account", "-made_at"], name="request_of_account"),
            # As small as what is open: the queue is as fast with a million closed ones.
            models.Index(fields=["due_at", "id"], condition=models.Q(closed_at=None), name="request_due"),
            models.Index(fields=["assigned_to", "due_at"], condition=models.Q(closed_at=None), name="request_assigned"),
        ]
        triggers = [refused_while_erasing()]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=RequestKind.values), name="request_kind_is_known"),
            models.UniqueConstraint(
                fields=["account", "kind"],
                condition=models.Q(kind__in=["refund", "deletion"], closed_at=None),
                name="request_one_open_of_a_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(identity__contained_by=IdentityFact.values), name="request_identity_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(assigned_to=None, assigned_at=None)
                | models.Q(assigned_to__isnull=False, assigned_at__gte=models.F("made_at")),
                name="request_assigned_to_someone",
            ),
            models.CheckConstraint(
                condition=models.Q(answered_at=None) | models.Q(answered_at__gte=models.F("made_at")),
                name="request_answered_after_made",
            ),
            models.CheckConstraint(
                condition=models.Q(decided_at=None) | models.Q(decided_at__gte=models.F("made_at")),
                name="request_decided_after_made",
            ),
            # Art. 12(3): once, said within the first month, by two further months (62 days at most).
            models.CheckConstraint(
                condition=models.Q(extended_at=None, first_due_at=None)
                | models.Q(
                    kind="deletion",
                    extended_at__gte=models.F("made_at"),
                    extended_at__lte=models.F("first_due_at"),
                    due_at__gt=models.F("first_due_at"),
                    due_at__lte=models.F("first_due_at") + timedelta(days=62),
                ),
                name="request_extended_in_time",
            ),
            models.CheckConstraint(
                condition=models.Q(closed_at=None, outcome="")
                | models.Q(closed_at__gte=models.F("made_at"), outcome__in=RequestOutcome.values),
                name="request_closed_with_an_outcome",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def state(self) -> State:
        if self.closed_at:
            return State.CLOSED
        return State.ANSWERED if self.answered_at else State.WAITING

    @property
    def on_behalf(self) -> bool:
        """Whether staff made it for a customer who can't sign in."""
        return bool(self.identity)

    def readers(self) -> list[User | None]:
        """Whom we answer: who asked, if they are still a member and not staff; else the owner."""
        asked = None if self.on_behalf else self.made_by
        still_there = asked is not None and self.account.memberships.filter(user=asked).exists()
        return [asked if still_there else self.account.owner()]


def ask(
    account: Account,
    *,
    kind: RequestKind,
    message: str,
    by: Actor,
    at: datetime,
    identity: "list[str] | tuple[str, ...]" = (),
) -> tuple[SupportRequest, bool]:
    """Make a request and queue its acknowledgement. Returns it, and whether it is new.

    A second request for a refund, or for deletion, while the first is open is the first one again. Staff who ask for
    a customer who can't sign in say which facts they compared (`accounts.support.identity`); the owner is told.
    Raises `NotIdentified`, `StaffOnly`, `TextTooLong`, `NoText`, and `TooOften` for a person who asks all the time.
    """
    on_behalf = by.kind == ActorKind.STAFF
    compared = proven(identity) if on_behalf and staff_member(by, account.pk) else []
    if message or kind == RequestKind.OTHER:
        message = wording(message, limit=MAX_MESSAGE)
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if kind in OWNER_ONLY and (existing := account.requests.open().filter(kind=kind).first()):
            return existing, False
        if by.user and not on_behalf:
            # Each request is a row, a line of history and a mail.
            limits.limit("request", by.user.pk, most=MOST_AN_HOUR, at=at)
        request = SupportRequest.objects.create(
            account=account,
            kind=kind,
            message=message,
            made_by=by.user,
            made_at=at,
            identity=compared,
            due_at=at + ANSWER_WITHIN[kind],
        )
        checked = {"identity": compared} if on_behalf else {}
        history.record(
            account.pk, AccountEvent.REQUEST_MADE, at=at, by=by, reference=request.reference, about=kind, **checked
        )
        if by.user or by.kind == ActorKind.API:
            queue(
                "accounts/request_received",
                to=request.readers(),
                account=account,
                occasion=f"request:{request.pk}",
                at=at,
                reference=request.reference,
                about=kind,
                due_at=request.due_at,
                on_behalf=on_behalf,
                route=route.code if (route := route_of(account, kind, at)) else "",
            )
    return request, True


def locked(request: SupportRequest) -> SupportRequest:
    """The request as it is now, its account and its row locked in that order, until the transaction ends.

    Raises `BeingErased` once the account is being erased.
    """
    account = Account.objects.select_for_update(no_key=True).filter(pk=request.account_id).first()
    if account is None or account.purging_at:
        raise BeingErased(request.account_id)
    request = SupportRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
    request.account = account
    return request


def locked_open(request: SupportRequest) -> SupportRequest:
    """The same; raises `RequestClosed` too."""
    request = locked(request)
    if request.closed_at:
        raise RequestClosed
    return request


def conclude(request: SupportRequest, *, outcome: RequestOutcome, by: Actor, at: datetime) -> None:
    """Close it, in the caller's transaction and under its lock. The caller tells the customer."""
    request.closed_at, request.outcome = at, outcome
    request.save(update_fields=["closed_at", "outcome"])
    history.record(
        request.account_id,
        AccountEvent.REQUEST_CLOSED,
        at=at,
        by=by,
        reference=request.reference,
        outcome=str(outcome.value),
    )


def reopen(request: SupportRequest, *, by: Actor, at: datetime) -> bool:
    """What it was closed or decided with has come to nothing: it waits for an answer again, within the usual time.

    In the caller's transaction and under its lock; the caller tells the customer. Returns whether anything changed.
    """
    if request.closed_at is None and request.answered_at is None and request.decided_at is None:
        return False
    request.closed_at, request.outcome = None, ""
    request.answered_at = request.decided_at = None
    request.due_at = at + ANSWER_WITHIN[RequestKind(request.kind)]
    request.save(update_fields=["closed_at", "outcome", "answered_at", "decided_at", "due_at"])
    history.record(request.account_id, AccountEvent.REQUEST_REOPENED, at=at, by=by, reference=request.reference)
    return True


INVARIANTS = (
    invariants.Invariant(
        "deletion-request-overdue",
        _("requests for deletion that were not decided within the legal time"),
        lambda at: SupportRequest.objects.overdue(at).filter(kind=RequestKind.DELETION),
        example="reference",
    ),
    *(
        invariants.Invariant(name, message, violations, example="reference", warning=True)
        for (name, message, violations) in (
            (
                "request-overdue",
                _("requests that were not answered within the time that we promise"),
                lambda at: SupportRequest.objects.overdue(at).exclude(kind=RequestKind.DELETION),
            ),
            (
                "request-due-soon",
                _("requests to be answered within two days"),
                lambda at: SupportRequest.objects.due_soon(at),
            ),
        )
    ),
)
