"""Who may see what: the few predicates that every page's view begins with."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts.customers.account import Membership, Role
from accounts.customers.carried import show_as_of_its_last
from accounts.customers.promises import ACCOUNT, OfNoAccount, account_named

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
MemberView = Callable[Concatenate[HttpRequest, Membership, P], HttpResponse]

#: Roles of those who come in though their account is deactivated.
NOBODY: frozenset[str] = frozenset()
OWNER = frozenset({Role.OWNER.value})
EVERYBODY = frozenset(Role.values)

#: Where the session remembers the account that was last shown.
SESSION_KEY = "account"


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

    A form that is sent there must be about this account, too. Raises `OfNoAccount`, and `AccountDeactivated`; with
    `leaving_owner`, to its owner only once the erasing has begun.
    """
    membership = _place_in(request, account_id)
    if membership is None:
        raise Http404
    _show(request, membership)
    show_as_of_its_last(request, membership.account)
    _require_active(membership, leaving=OWNER if leaving_owner else NOBODY)
    if request.method == "POST" and account_named(request.POST) != account_id:
        raise OfNoAccount
    return membership


def _place_in(request: HttpRequest, account_id: uuid.UUID | None) -> Membership | None:
    return next((place for place in memberships(request) if place.account_id == account_id), None)


def _show(request: HttpRequest, membership: Membership) -> None:
    """Have this page show an account, whichever the session has in front."""
    request.membership = membership  # type: ignore[attr-defined]  # read by `current_membership`


def _asked_about(request: HttpRequest) -> Membership:
    """The place in the account that a form or an address names. An address that names none shows the one in front.

    Raises `OfNoAccount` for a form that names none of this person's, `Http404` for such an address.
    """
    if request.method == "POST":
        membership = _place_in(request, account_named(request.POST))
        if membership is None:
            raise OfNoAccount
        put_in_front(request, membership)
        return membership
    if ACCOUNT in request.GET:
        membership = _place_in(request, account_named(request.GET))
        if membership is None:
            raise Http404
        put_in_front(request, membership)
        return membership
    in_front = current_membership(request)
    assert in_front is not None
    return in_front


def put_in_front(request: HttpRequest, membership: Membership) -> None:
    """Show this account now, and on every page that names none. That decides nothing but what is shown."""
    _show(request, membership)
    if request.session.get(SESSION_KEY) != str(membership.account_id):
        request.session[SESSION_KEY] = str(membership.account_id)


class InNoAccount(Exception):
    """The person belongs to no account. Answered by a page that says what to do next (403)."""


class OwnerOnly(Exception):
    """Refused to a member who is not the owner (or, where that is enough, an administrator).

    Says who is; so it is answered before anything could log it.
    """


class AccountDeactivated(Exception):
    """The account is switched off; its members are told why, and until when it can come back."""

    def __init__(self, membership: Membership) -> None:
        super().__init__(f"account {membership.account_id} is deactivated")
        self.membership = membership
        self.account = membership.account


def _require_active(membership: Membership, *, leaving: frozenset[str]) -> None:
    """Raise `AccountDeactivated`; for the roles of `leaving` only once the erasing has begun."""
    account = membership.account
    if account.purging_at or (account.deactivated_at and membership.role not in leaving):
        raise AccountDeactivated(membership)


def for_members(view: MemberView[P]) -> View[P]:
    """Hand the view the person's place in the account that the form or the address names, else in the one in front.

    A form that names none does nothing (`OfNoAccount`). People without an account get a page that says so (403).
    """
    return _for_members(view, leaving=NOBODY)


def for_leaving_members(view: MemberView[P]) -> View[P]:
    """As `for_members`, but open to members of a deactivated account, too, until its erasing begins.

    For asking us why, and for what.
    """
    return _for_members(view, leaving=EVERYBODY)


def _for_members(view: MemberView[P], *, leaving: frozenset[str]) -> View[P]:
    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not memberships(request):
            raise InNoAccount
        membership = _asked_about(request)
        show_as_of_its_last(request, membership.account)
        _require_active(membership, leaving=leaving)
        return view(request, membership, *args, **kwargs)

    return inner


def for_owner(view: MemberView[P]) -> View[P]:
    """Hand the view the owner's membership. Other members get 403 and are told who the owner is."""
    return for_members(_owner_only(view))


def for_managers(view: MemberView[P]) -> View[P]:
    """Hand the view the membership of the owner or of an administrator. Other members get 403."""

    @wraps(view)
    def inner(request: HttpRequest, membership: Membership, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not membership.is_manager:
            raise OwnerOnly(_("Only the owner and the administrators of this account can do this."))
        return view(request, membership, *args, **kwargs)

    return for_members(inner)


def for_leaving_owner(view: MemberView[P]) -> View[P]:
    """As `for_owner`, but open to the owner of a deactivated account, too, until its erasing begins.

    For what they must be able to do before all is gone.
    """
    return _for_members(_owner_only(view), leaving=OWNER)


def _owner_only(view: MemberView[P]) -> MemberView[P]:
    @wraps(view)
    def inner(request: HttpRequest, membership: Membership, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not membership.is_owner:
            owner: Any = membership.account.owner()
            raise OwnerOnly(_("Only the owner of this account, %(owner)s, can do this.") % {"owner": owner})
        return view(request, membership, *args, **kwargs)

    return inner
