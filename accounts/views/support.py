"""Support: what customers ask of staff, how it stands, and what was answered."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.customers.access import OwnerOnly, for_leaving_members, for_leaving_owner
from accounts.customers.account import Membership
from accounts.customers.fresh_proof import require_fresh_proof
from accounts.customers.history import Actor
from accounts.customers.promises import page_of, require, stands_on, typed
from accounts.customers.user import User
from accounts.erasure.purge import Purge, TooLate
from accounts.forms import FurtherMessageForm, SupportForm
from accounts.support.deletion import call_off, obstacle_to
from accounts.support.messages import write_further
from accounts.support.requests import OWNER_ONLY, RequestKind, SupportRequest, ask
from accounts.support.routing import route_of

#: Requests on the page; the export has all of them.
SHOWN = 50


@require_http_methods(["GET", "HEAD", "POST"])
@for_leaving_members
def support(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: the form and the account's requests. POST (`kind`, `message`): make one."""
    if request.method == "POST":
        form = SupportForm(request.POST)
        if form.is_valid():
            return _ask(request, membership, RequestKind(form.cleaned_data["kind"]), form.cleaned_data["message"])
    else:
        form = SupportForm(initial={"kind": request.GET.get("kind", "")} | typed(request))
    return _page(request, membership, form=form)


@require_POST
@stands_on("support")
@for_leaving_members
def further_message(request: HttpRequest, membership: Membership, reference: str) -> HttpResponse:
    """POST (`text`): add to an open request, of one's own or as the owner. Anybody else's is not found (404)."""
    found = get_object_or_404(_readable(membership), reference=reference)
    form = FurtherMessageForm(reference, request.POST)
    if not form.is_valid():
        return _page(request, membership, further=form, about=found)
    by = _actor(request, membership)
    try:
        write_further(found, text=form.cleaned_data["text"], by=by, at=clock.of(request))
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Your message was added to %(reference)s.") % {"reference": reference})
    return _back(membership)


def _page(
    request: HttpRequest,
    membership: Membership,
    *,
    form: SupportForm | None = None,
    further: FurtherMessageForm | None = None,
    about: SupportRequest | None = None,
) -> HttpResponse:
    """The form and the requests; `further` is the form for more `about` one of them, sent with a mistake in it."""
    account, at = membership.account, clock.of(request)
    readable = set(_readable(membership).values_list("pk", flat=True))
    requests = list(account.requests.order_by("-made_at").prefetch_related("messages__written_by")[:SHOWN])
    wrong = bool((form and form.errors) or (further and further.errors))
    return render(
        request,
        "accounts/support.html",
        {
            "form": form or SupportForm(),
            "membership": membership,
            "requests": [
                {
                    "row": row,
                    "readable": row.pk in readable,
                    "form": further if about and row.pk == about.pk else FurtherMessageForm(row.reference),
                }
                for row in requests
            ],
            "obstacle": obstacle_to(account, at) if membership.is_owner else None,
            "deletion_asked": _deletion_asked(membership),
            "refund_route": route_of(account, RequestKind.REFUND, at),
        },
        status=422 if wrong else 200,
    )


def _readable(membership: Membership) -> "QuerySet[SupportRequest]":
    """The requests whose texts this person may read: the owner all, others their own."""
    requests = membership.account.requests.all()
    return requests if membership.is_owner else requests.filter(made_by=membership.user_id)


def _actor(request: HttpRequest, membership: Membership) -> Actor:
    user = User.signed_in(request.user)
    return Actor.owner(user) if membership.is_owner else Actor.member(user)


def _ask(request: HttpRequest, membership: Membership, kind: RequestKind, message: str) -> HttpResponse:
    if kind in OWNER_ONLY and not membership.is_owner:
        raise OwnerOnly(
            _("Only the owner of this account, %(owner)s, can ask for this.") % {"owner": membership.account.owner()}
        )
    if kind == RequestKind.DELETION:
        require_fresh_proof(request)
    by, at = _actor(request, membership), clock.of(request)
    made, new = ask(membership.account, kind=kind, message=message, by=by, at=at)
    if new:
        messages.success(
            request, _("We have your request %(reference)s and will answer by mail.") % {"reference": made.reference}
        )
    else:
        messages.info(request, _("Your request %(reference)s is already with us.") % {"reference": made.reference})
    if kind == RequestKind.DELETION and (obstacle := obstacle_to(membership.account, at)):
        messages.warning(request, str(obstacle))
    return _back(membership)


@require_POST
@stands_on("support")
@for_leaving_owner
def call_deletion_off(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST: nothing is to be deleted after all; until the erasing begins. Of the request that the page showed."""
    if asked := _deletion_asked(membership):
        require(request, asked.reference)
    by = Actor.owner(User.signed_in(request.user))
    try:
        changed = call_off(membership.account, by=by, at=clock.of(request))
    except TooLate:
        messages.error(request, _("It is too late: the deletion has begun."))
        return _back(membership)
    if changed and Purge.objects.of(membership.account_id).open().exists():
        messages.warning(
            request, _("The deletion that you asked for is called off. Another reason to erase the data stands.")
        )
    elif changed:
        messages.success(request, _("The deletion is called off. Everything stays as it is."))
    else:
        messages.info(request, _("There is no deletion to call off."))
    return _back(membership)


def _deletion_asked(membership: Membership) -> SupportRequest | None:
    return membership.account.requests.open().filter(kind=RequestKind.DELETION).first()


def _back(membership: Membership) -> HttpResponse:
    return redirect(page_of(membership.account, "support"))
