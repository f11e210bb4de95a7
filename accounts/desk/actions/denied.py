"""Denied attempts: whoever is turned away at the support desk leaves a line in the history.

In that of the account that it was about, if it was about one; else in nobody's. A line for each door and hour: the
history can't be deleted, so nobody writes as much of it as they like. How often it was is counted (`core.limits`), and
staff are told of who does not stop.
"""

import uuid
from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.core import clock, limits
from accounts.core.limits import HourlyCount
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.jobs.invariants import Invariant

#: What is counted begins with this.
COUNTED = "denied"
MAX_WHAT = 150
#: So often within an hour nobody mistakes a door.
OFTEN = 20
#: Staff are told for so long.
SHOWN = timedelta(days=1)


class Denied(PermissionDenied):
    """Refused for want of a permission. Says which, and to whose account it would have been done."""

    def __init__(self, message: str, *, permission: str, account_id: uuid.UUID | None = None) -> None:
        super().__init__(message)
        self.permission = permission
        self.account_id = account_id


def no_right(act: str | Promise, *, permission: str, account_id: uuid.UUID | None = None) -> Denied:
    """The refusal of an act that the reader's role does not include."""
    message = _("Your role does not include this: %(act)s. Please ask a support lead.") % {"act": act}
    return Denied(message, permission=permission, account_id=account_id)


def note(request: HttpRequest, refusal: PermissionDenied) -> None:
    """Write down who was turned away, and at which door: by ids and code names, never what was sent."""
    if not isinstance(request.user, User):
        return
    user, at = request.user, clock.now()
    by = Actor.staff(user) if user.is_staff else Actor.member(user)
    match = request.resolver_match
    door, method = (match.url_name or "" if match else ""), request.method or ""
    account_id, permission = (refusal.account_id, refusal.permission) if isinstance(refusal, Denied) else (None, "")
    if limits.counted(f"{COUNTED} {method} {door} {permission} {account_id or ''}"[:MAX_WHAT], user.pk, at=at) > 1:
        return
    history.record(account_id, AccountEvent.DESK_DENIED, at=at, by=by, door=door, method=method, permission=permission)


def _persistent(at: datetime) -> "QuerySet[HourlyCount]":
    return HourlyCount.objects.filter(
        what__startswith=f"{COUNTED} ", count__gt=OFTEN, last_at__gt=at - SHOWN, last_at__lte=at
    )


INVARIANTS = (
    Invariant(
        "denied-often",
        gettext_lazy("doors of the support desk at which somebody was turned away more than 20 times within an hour"),
        _persistent,
        example="whom",
        warning=True,
    ),
)
