"""Where the link of an invitation leads, and how somebody joins.

The session takes the invitation over from the link, and goes on at an address that can be shown, logged and shared
without giving anything away. Opening changes nothing, for mailboxes open links by themselves;
joining is a button.
"""

import uuid
from http import HTTPStatus
from urllib.parse import urlencode

from allauth.account.utils import perform_login
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.customers.access import put_in_front
from accounts.customers.account import Membership
from accounts.customers.promises import OutOfDate, require, stands_on, typed
from accounts.customers.user import User
from accounts.forms import NewcomerForm
from accounts.people import joining
from accounts.people.invitation import Invitation
from accounts.signing_in import addresses

#: Where the session keeps the invitation whose link was opened in it, and which mail's.
OPENED = "invitation"


@login_not_required
@require_safe
def open_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """GET: take the invitation over into this session."""
    found = Invitation.objects.with_token(token)
    if found is None:
        return _gone(request, str(joining.CannotJoin()))
    request.session[OPENED] = [str(found.pk), found.mails]
    return redirect("invitation")


@login_not_required
@require_safe
def invitation(request: HttpRequest) -> HttpResponse:
    """GET: who invites, to what, and what this reader can do about it."""
    return _page(request)


@require_POST
@stands_on("invitation")
def accept(request: HttpRequest) -> HttpResponse:
    """POST (`invitation`): join as who is signed in. The form may stand on the page of who belongs to no account."""
    user = User.signed_in(request.user)
    found = _opened(request) or _addressed(request, user)
    if found is None:
        return _page(request)
    require(request, found.pk, found.role)
    try:
        place, new = joining.join(found, user=user, at=clock.of(request))
    except joining.CannotJoin as error:
        raise OutOfDate(str(error)) from error
    request.session.pop(OPENED, None)
    return _in(request, place, new=new)


@login_not_required
@require_POST
@stands_on("invitation")
def join(request: HttpRequest) -> HttpResponse:
    """POST (`name`, `password`): a new person, by the address that the link has proven."""
    found = _opened(request)
    if found is None or isinstance(request.user, User):
        return redirect("invitation")
    require(request, found.pk, found.role)
    form = NewcomerForm(found.email, request.POST)
    if not form.is_valid():
        return _page(request, form=form)
    told = form.cleaned_data
    try:
        place = joining.join_as_newcomer(found, name=told["name"], password=told["password"], at=clock.of(request))
    except Refused as refused:
        raise OutOfDate(str(refused)) from refused
    perform_login(request, place.user, email_verification="none", signup=True)
    request.session.pop(OPENED, None)
    return _in(request, place, new=True)


@require_POST
@stands_on("invitation")
def sign_out(request: HttpRequest) -> HttpResponse:
    """POST: go on as somebody else. The invitation stays at hand; all else of the session ends."""
    opened = request.session.get(OPENED)
    logout(request)
    if opened:
        request.session[OPENED] = opened
    return redirect("invitation")


def _page(request: HttpRequest, *, form: NewcomerForm | None = None) -> HttpResponse:
    found, at = _opened(request), clock.of(request)
    if found is None:
        return _gone(
            request, _("Open the link in the mail that you got. A newer mail ends the link of the one before.")
        )
    user = request.user if isinstance(request.user, User) else None
    is_addressee = user is not None and user.email == found.email
    place = Membership.objects.filter(account=found.account_id, user=user).first() if user else None
    obstacle = None if place else joining.obstacle_to(found, at)
    if obstacle:
        return _gone(request, str(obstacle))
    initial = {name: value for name, value in typed(request).items() if name != "password"}
    context = {
        "invitation": found,
        "is_addressee": is_addressee,
        "is_member": place is not None,
        "is_known": user is None and addresses.is_taken(found.email),
        "form": form or NewcomerForm(found.email, initial=initial),
        "sign_in": f"{reverse('account_login')}?{urlencode({'next': reverse('invitation')})}",
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form and form.errors else HTTPStatus.OK
    return render(request, "accounts/invitation.html", context, status=status)


def _opened(request: HttpRequest) -> Invitation | None:
    """The invitation that this session took over, unless a newer mail has taken the place of its link."""
    told = request.session.get(OPENED)
    if not told:
        return None
    pk, mails = told
    return Invitation.objects.filter(pk=pk, mails=mails).select_related("account", "invited_by").first()


def _addressed(request: HttpRequest, user: User) -> Invitation | None:
    """The invitation that a form names, if it was sent to the proven address of who is signed in."""
    try:
        pk = uuid.UUID(request.POST.get("invitation", ""))
    except ValueError:
        return None
    if not addresses.is_proven(user):
        return None
    return Invitation.objects.to(user).filter(pk=pk).select_related("account").first()


def _in(request: HttpRequest, place: Membership, *, new: bool) -> HttpResponse:
    put_in_front(request, place)
    if new:
        messages.success(request, _("Welcome to %(account)s.") % {"account": place.account})
    else:
        messages.info(request, _("You are a member of %(account)s already.") % {"account": place.account})
    return redirect("home")


def _gone(request: HttpRequest, message: str) -> HttpResponse:
    """Nothing to join here. Not an error of the reader's: they may have been asked in long ago."""
    context = {"title": _("This invitation can't be used"), "message": message}
    return render(request, "accounts/invitation_gone.html", context, status=HTTPStatus.GONE)
