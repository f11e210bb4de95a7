"""Requests to support: a refund, the deletion of account and data, anything else."""

from datetime import datetime
from functools import partial
from typing import Self

from dateutil.relativedelta import relativedelta
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts import history
from accounts.account import Account
from accounts.history import Actor
from accounts.notices import queue
from accounts.references import new_reference
from accounts.routes import route_of
from accounts.user import User
from accounts.writes import refused_while_erasing

#: GDPR art. 12(3): an answer to a request for erasure within one month.
DELETION_ANSWER = relativedelta(months=1)

MAX_MESSAGE = 5000


class RequestKind(models.TextChoices):
    REFUND = "refund", _("A refund")
    DELETION = "deletion", _("Deletion of the account and all data")
    OTHER = "other", _("Something else")


#: What only the owner may ask for, because only the owner may decide it.
OWNER_ONLY = frozenset({RequestKind.REFUND, RequestKind.DELETION})


class SupportRequestQuerySet(models.QuerySet["SupportRequest"]):
    def open(self) -> Self:
        """Those that still wait for an answer."""
        return self.filter(closed_at=None)


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
    due_at = models.DateTimeField(_("answer due"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)

    objects = SupportRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")
        indexes = [models.Index(fields=["account", "-made_at"], name="request_of_account")]
        triggers = [refused_while_erasing()]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=RequestKind.values), name="request_kind_is_known"),
            models.UniqueConstraint(
                fields=["account", "kind"],
                condition=models.Q(kind__in=["refund", "deletion"], closed_at=None),
                name="request_one_open_of_a_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.reference


def ask(account: Account, *, kind: RequestKind, message: str, by: Actor, at: datetime) -> tuple[SupportRequest, bool]:
    """Make a request and queue its acknowledgement. Returns it, and whether it is new.

    A second request for a refund, or for deletion, while the first is open is the first one again.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if kind in OWNER_ONLY and (existing := account.requests.open().filter(kind=kind).first()):
            return existing, False
        request = SupportRequest.objects.create(
            account=account,
            kind=kind,
            message=message,
            made_by=by.user,
            made_at=at,
            due_at=at + DELETION_ANSWER if kind == RequestKind.DELETION else None,
        )
        history.record(account.pk, "request.made", at=at, by=by, reference=request.reference, about=kind)
        if by.user:
            queue(
                "accounts/request_received",
                to=[by.user],
                account=account,
                occasion=f"request:{request.pk}",
                at=at,
                reference=request.reference,
                about=kind,
                due_at=request.due_at,
                route=route.code if (route := route_of(account, kind, at)) else "",
            )
    return request, True
