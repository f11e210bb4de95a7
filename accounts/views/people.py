"""The people of an account: who is in it, as what, and who is invited.

The owner and the administrators see all and manage all but the owner; others see the owner and themselves, and can
leave.
"""

import uuid
from http import HTTPStatus

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.core import clock
from accounts.core.limits import TooOften
from accounts.core.refusal import Refused
from accounts.core.write_guard import BeingErased
from accounts.customers.access import AccountDeactivated, for_managers, for_members
from accounts.customers.account import Membership, Role
from accounts.customers.history import Actor
from accounts.customers.promises import OutOfDate, page_of, require, stands_on, typed
from accounts.customers.user import User
from accounts.forms import InviteForm, RoleForm
from accounts.people import inviting, members
from accounts.people.invitation import Invitation
from accounts.support.ownership_proposal import standing_offer

#: Members on a page; the owner first, then the administrators.
SHOWN = 50
#: Open invitations on the page, the newest first: more than anybody has open at a time.
INVITATIONS = 100


@require_safe
@for_members
def people(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: the members, the open invitations and the form for another one; for a user the owner and themselves."""
    return _page(request, membership)


@require_POST
@stands_on("people")
@for_managers
def invite(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST (`email`, `role`): invite somebody. The answer is the same whether they sign in here or not."""
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _page(request, membership, form=form)
    email, role = form.cleaned_data["email"], Role(form.cleaned_data["role"])
    try:
        _invitation, new = inviting.invite(
            membership.account, email=email, role=role, by=_actor(membership), at=clock.of(request)
        )
    except (inviting.AlreadyMember, TooOften) as refused:
        form.add_error("email", str(refused))
        often = isinstance(refused, TooOften)
        status = HTTPStatus.TOO_MANY_REQUESTS if often else HTTPStatus.UNPROCESSABLE_ENTITY
        return _page(request, membership, form=form, status=status)
    except BeingErased as error:
        raise AccountDeactivated(membership) from error
    if new:
        messages.success(request, _("%(email)s is invited. The invitation is on its way.") % {"email": email})
    else:
        messages.info(request, _("%(email)s is invited already. You can send the invitation again.") % {"email": email})
    return _back(membership)


@require_POST
@stands_on("people")
@for_managers
def resend(request: HttpRequest, membership: Membership, invitation_id: uuid.UUID) -> HttpResponse:
    """POST: send an invitation again, with a new link."""
    invitation = get_object_or_404(Invitation, pk=invitation_id, account=membership.account_id)
    require(request, invitation.pk, invitation.mails)
    try:
        inviting.resend(invitation, by=_actor(membership), at=clock.of(request))
    except (inviting.NotOpen, TooOften) as refused:
        messages.error(request, str(refused))
    except BeingErased as error:
        raise AccountDeactivated(membership) from error
    else:
        said = _("The invitation is sent again to %(email)s. The link in the mail before no longer works.")
        messages.success(request, said % {"email": invitation.email})
    return _back(membership)


@require_POST
@stands_on("people")
@for_managers
def revoke(request: HttpRequest, membership: Membership, invitation_id: uuid.UUID) -> HttpResponse:
    """POST: take an invitation back. Its link stops working at once."""
    invitation = get_object_or_404(Invitation, pk=invitation_id, account=membership.account_id)
    require(request, invitation.pk)
    try:
        inviting.revoke(invitation, by=_actor(membership), at=clock.of(request))
    except inviting.NotOpen as refused:
        messages.error(request, str(refused))
    except BeingErased as error:
        raise AccountDeactivated(membership) from error
    else:
        messages.success(request, _("The invitation of %(email)s is taken back.") % {"email": invitation.email})
    return _back(membership)


@require_POST
@stands_on("people")
@for_managers
def role(request: HttpRequest, membership: Membership, user_id: int) -> HttpResponse:
    """POST (`role`): make a member an administrator, or a user."""
    place = _place(membership, user_id)
    require(request, place.user_id, place.role)
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise OutOfDate
    try:
        changed = members.change_role(
            membership.account,
            of=place.user,
            to=Role(form.cleaned_data["role"]),
            by=User.signed_in(request.user),
            at=clock.of(request),
        )
    except Refused as refused:
        messages.error(request, str(refused))
    except (BeingErased, Membership.DoesNotExist) as error:
        raise OutOfDate from error
    else:
        if changed:
            role = Role(form.cleaned_data["role"]).label
            messages.success(request, _("%(who)s: %(role)s.") % {"who": place.user, "role": role})
    return _back(membership)


@require_POST
@stands_on("people")
@for_managers
def remove(request: HttpRequest, membership: Membership, user_id: int) -> HttpResponse:
    """POST: take a member out of the account. Who is out already stays out."""
    place = _place(membership, user_id)
    require(request, place.user_id, place.role)
    if place.user_id == membership.user_id:
        raise OutOfDate
    by = User.signed_in(request.user)
    try:
        members.remove(membership.account, user=place.user, by=by, at=clock.of(request))
    except Refused as refused:
        messages.error(request, str(refused))
    except (BeingErased, Membership.DoesNotExist) as error:
        raise OutOfDate from error
    else:
        messages.success(request, _("%(who)s is no longer a member.") % {"who": place.user})
    return _back(membership)


@require_POST
@stands_on("people")
@for_members
def leave(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST: leave the account. Its owner hands it over first."""
    require(request, membership.role)
    account = membership.account
    try:
        members.leave(account, user=User.signed_in(request.user), at=clock.of(request))
    except Refused as refused:
        messages.error(request, str(refused))
        return _back(membership)
    except (BeingErased, Membership.DoesNotExist) as error:
        raise OutOfDate from error
    messages.success(request, _("You have left %(account)s.") % {"account": account})
    return redirect("home")


def _page(
    request: HttpRequest, membership: Membership, *, form: InviteForm | None = None, status: HTTPStatus | None = None
) -> HttpResponse:
    at = clock.of(request)
    account = membership.account
    page = Paginator(_visible(membership), SHOWN).get_page(request.GET.get("page"))
    invitations = account.invitations.unanswered().select_related("invited_by").order_by("-invited_at", "-pk")
    offer = standing_offer(account, at)
    return render(
        request,
        "accounts/people.html",
        {
            "membership": membership,
            "page": page,
            "members": [
                {
                    "place": place,
                    "is_you": place.user_id == membership.user_id,
                    "form": RoleForm(initial={"role": place.role}, prefix_ids=str(place.user_id)),
                    "can_manage": membership.is_manager and not place.is_owner and place.user_id != membership.user_id,
                }
                for place in page
            ],
            "invitations": [{"row": row, "is_open": row.is_open(at)} for row in invitations[:INVITATIONS]]
            if membership.is_manager
            else [],
            "offer": offer if offer and (membership.is_owner or offer.new_owner_id == membership.user_id) else None,
            "form": form or InviteForm(initial={"role": Role.USER.value} | typed(request)),
        },
        status=status or (HTTPStatus.UNPROCESSABLE_ENTITY if form and form.errors else HTTPStatus.OK),
    )


def _visible(membership: Membership) -> "QuerySet[Membership]":
    """The places that this member may see, the owner first."""
    places = membership.account.memberships.select_related("user")
    if not membership.is_manager:
        places = places.filter(Q(user=membership.user_id) | Q(role=Role.OWNER))
    rank = Case(When(role=Role.OWNER, then=Value(0)), When(role=Role.ADMIN, then=Value(1)), default=Value(2))
    return places.order_by(rank, "joined_at", "pk")


def _place(membership: Membership, user_id: int) -> Membership:
    """The place of the member whom the form is about. Raises `OutOfDate` for who is no member (any more)."""
    place = membership.account.memberships.filter(user=user_id).select_related("user").first()
    if place is None:
        raise OutOfDate
    return place


def _actor(membership: Membership) -> Actor:
    return Actor.owner(membership.user) if membership.is_owner else Actor.member(membership.user)


def _back(membership: Membership) -> HttpResponse:
    return redirect(page_of(membership.account, "people"))
