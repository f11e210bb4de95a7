"""Denied attempts: whoever is turned away at the support desk leaves a line in the history.

In that of the account that it was about, if it was about one; else in nobody's.
"""

import uuid

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.core import clock
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User


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
    user = request.user
    by = Actor.staff(user) if user.is_staff else Actor.member(user)
    match = request.resolver_match
    history.record(
        refusal.account_id if isinstance(refusal, Denied) else None,
        AccountEvent.DESK_DENIED,
        at=clock.now(),
        by=by,
        door=match.url_name if match else "",
        method=request.method,
        permission=refusal.permission if isinstance(refusal, Denied) else "",
    )
