"""Who may see what: the few predicates that every page's view begins with."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.account import Membership

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
MemberView = Callable[Concatenate[HttpRequest, Membership, P], HttpResponse]


def memberships(request: HttpRequest) -> list[Membership]:
    """The signed-in person's places, by account name. Set by `CurrentAccountMiddleware`."""
    found: list[Membership] = request.memberships  # type: ignore[attr-defined]  # set by the middleware
    return found


def current_membership(request: HttpRequest) -> Membership | None:
    """The signed-in person's place in the account in front of them; None for people without any."""
    found: Membership | None = request.membership  # type: ignore[attr-defined]  # set by the middleware
    return found


def membership_in(request: HttpRequest, account_id: uuid.UUID, *, leaving_owner: bool = False) -> Membership:
    """The signed-in person's place in this account. A stranger gets 404: not even its existence is told.

    Raises `AccountDeactivated`; with `leaving_owner`, to its owner only once the erasing has begun.
    """
    for membership in memberships(request):
        if membership.account_id == account_id:
            _require_active(membership, leaving_owner=leaving_owner)
            return membership
    raise Http404


class AccountDeactivated(Exception):
    """The account is switched off; its members are told why, and until when it can come back."""

    def __init__(self, membership: Membership) -> None:
        super().__init__(f"account {membership.account_id} is deactivated")
        self.membership = membership
        self.account = membership.account


def _require_active(membership: Membership, *, leaving_owner: bool) -> None:
    account = membership.account
    leaves = leaving_owner and membership.is_owner
    if account.purging_at or (account.deactivated_at and not leaves):
        raise AccountDeactivated(membership)


def for_members(view: MemberView[P]) -> View[P]:
    """Hand the view the current membership. People without an account get a page that says so (403)."""
    return _for_members(view, leaving_owner=False)


def _for_members(view: MemberView[P], *, leaving_owner: bool) -> View[P]:
    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        membership = current_membership(request)
        if membership is None:
            return render(request, "accounts/no_account.html", status=403)
        _require_active(membership, leaving_owner=leaving_owner)
        return view(request, membership, *args, **kwargs)

    return inner


def for_owner(view: MemberView[P]) -> View[P]:
    """Hand the view the owner's membership. Other members get 403 and are told who the owner is."""
    return for_members(_owner_only(view))


def for_leaving_owner(view: MemberView[P]) -> View[P]:
    """As `for_owner`, but open to the owner of a deactivated account, too, until its erasing begins.

    For what they must be able to do before all is gone.
    """
    return _for_members(_owner_only(view), leaving_owner=True)


def _owner_only(view: MemberView[P]) -> MemberView[P]:
    @wraps(view)
    def inner(request: HttpRequest, membership: Membership, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not membership.is_owner:
            owner: Any = membership.account.owner()
            raise PermissionDenied(_("Only the owner of this account, %(owner)s, can do this.") % {"owner": owner})
        return view(request, membership, *args, **kwargs)

    return inner
