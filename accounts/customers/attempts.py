"""Refused attempts: what an owner or a member tried to do, and was not allowed to, or no longer could.

As at the support desk (`accounts.desk.actions.denied`), whoever is turned away leaves a line in the history of the
account that it was about: who, at which door, how it was answered. Shown to staff, who are asked about it by mail. The
history can't be deleted, so of one kind each person leaves a line an hour.
"""

from django.http import HttpRequest, HttpResponse

from accounts.core import clock, limits
from accounts.customers import history
from accounts.customers.access import current_membership
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor

#: Not allowed, and not possible as things stand.
REFUSED = (403, 409)
#: What their number is counted as.
COUNTED = "refused attempt"


def note(request: HttpRequest, response: HttpResponse) -> None:
    """Write down an attempt that was refused: by ids and code names, never what was sent."""
    if request.method in ("GET", "HEAD", "OPTIONS") or response.status_code not in REFUSED:
        return
    membership = current_membership(request)
    match = request.resolver_match
    if membership is None or match is None or match.namespace:
        # Nobody's account; or a page of the support desk, which writes down its own.
        return
    at, door, status = clock.of(request), match.url_name or "", response.status_code
    if limits.counted(f"{COUNTED} {door} {status} {membership.account_id}", membership.user_id, at=at) > 1:
        return
    by = Actor.owner(membership.user) if membership.is_owner else Actor.member(membership.user)
    history.record(membership.account_id, AccountEvent.ATTEMPT_REFUSED, at=at, by=by, door=door, status=status)
