"""Handing an account over: the owner offers it to a member, who accepts or declines."""

from collections.abc import Mapping
from http import HTTPStatus

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.core.write_guard import BeingErased
from accounts.customers.access import AccountDeactivated, for_members, for_owner
from accounts.customers.account import Membership
from accounts.customers.promises import OutOfDate, page_of, promise, require, stands_on, typed
from accounts.customers.user import User
from accounts.forms import HandOverForm
from accounts.signing_in.fresh_proof import fresh_proof
from accounts.support import ownership_proposal
from accounts.support.ownership_proposal import OwnershipProposal, pending, standing_offer


@require_http_methods(["GET", "HEAD", "POST"])
@fresh_proof
@for_owner
def hand_over(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: to whom, and what is about to happen to the account. POST (`new_owner`, `stays`): offer it to them."""
    account, at = membership.account, clock.of(request)
    if request.method != "POST":
        return _choose(request, membership, HandOverForm(_others(membership), initial=typed(request)))
    require(request, _facts(pending(account, at)))
    form = HandOverForm(_others(membership), request.POST)
    if not form.is_valid():
        return _choose(request, membership, form)
    to: User = form.cleaned_data["new_owner"].user
    try:
        ownership_proposal.propose(
            account, to=to, stays=form.cleaned_data["stays"], by=User.signed_in(request.user), at=at
        )
    except ownership_proposal.NotTheirs as error:
        raise OutOfDate from error
    except Refused as refused:
        form.add_error("new_owner", str(refused))
        return _choose(request, membership, form)
    except BeingErased as error:
        raise AccountDeactivated(membership) from error
    messages.success(request, _("The account is offered to %(who)s, who is told by mail.") % {"who": to})
    return _back(membership)


@require_POST
@stands_on("people")
@for_owner
def take_back(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST: keep the account after all."""
    _offer_of_the_page(request, membership)
    by = User.signed_in(request.user)
    try:
        changed = ownership_proposal.take_back(membership.account, by=by, at=clock.of(request))
    except (BeingErased, ownership_proposal.NotTheirs) as error:
        raise OutOfDate from error
    if changed:
        messages.success(request, _("The offer is taken back. You stay the owner."))
    return _back(membership)


@require_http_methods(["GET", "HEAD", "POST"])
@fresh_proof
@for_members
def offer(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: what is offered, and what is about to happen to the account. POST: accept."""
    account, at = membership.account, clock.of(request)
    found = standing_offer(account, at)
    if found is None or found.new_owner_id != membership.user_id:
        if request.method == "POST":
            raise OutOfDate
        messages.info(request, str(ownership_proposal.NotOffered()))
        return _back(membership)
    facts = pending(account, at)
    if request.method != "POST":
        context = {"membership": membership, "offer": found, "pending": facts, "facts": _facts(facts)}
        return render(request, "accounts/ownership_offer.html", context)
    require(request, found.pk, _facts(facts))
    try:
        ownership_proposal.accept(found, by=User.signed_in(request.user), at=at)
    except Refused as refused:
        messages.error(request, str(refused))
    except BeingErased as error:
        raise AccountDeactivated(membership) from error
    else:
        messages.success(request, _("You are the owner of %(account)s now.") % {"account": account})
    return _back(membership)


@require_POST
@stands_on("people")
@for_members
def decline(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST: leave the account with its owner."""
    found = _offer_of_the_page(request, membership)
    try:
        ownership_proposal.decline(found, by=User.signed_in(request.user), at=clock.of(request))
    except (ownership_proposal.NotOffered, BeingErased) as error:
        raise OutOfDate from error
    messages.success(request, _("You have declined. The account stays with its owner."))
    return _back(membership)


def _offer_of_the_page(request: HttpRequest, membership: Membership) -> OwnershipProposal:
    """The offer that the form is about. Raises `OutOfDate` if that is not the one that stands."""
    found = standing_offer(membership.account, clock.of(request))
    if found is None:
        raise OutOfDate
    require(request, found.pk)
    return found


def _choose(request: HttpRequest, membership: Membership, form: HandOverForm) -> HttpResponse:
    account, at = membership.account, clock.of(request)
    facts = pending(account, at)
    context = {
        "membership": membership,
        "form": form,
        "pending": facts,
        "facts": _facts(facts),
        "offer": standing_offer(account, at),
        "has_others": _others(membership).exists(),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return render(request, "accounts/hand_over.html", context, status=status)


def _others(membership: Membership) -> "QuerySet[Membership]":
    return membership.account.memberships.exclude(user=membership.user_id).select_related("user").order_by("pk")


def _facts(pending: "Mapping[str, object]") -> str:
    """What is about to happen, as a form carries it."""
    return promise(*(part for name in sorted(pending) for part in (name, pending[name]))) or "nothing"


def _back(membership: Membership) -> HttpResponse:
    return redirect(page_of(membership.account, "people"))
