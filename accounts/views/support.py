"""Support: what customers ask of staff, and how it stands."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import clock
from accounts.access import for_members, for_owner
from accounts.account import Membership
from accounts.deletion import call_off, obstacle_to
from accounts.forms import SupportForm
from accounts.history import Actor
from accounts.purge import TooLate
from accounts.routes import route_of
from accounts.support import OWNER_ONLY, RequestKind, ask
from accounts.user import User


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def support(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: the form and the account's requests. POST (`kind`, `message`): make one."""
    if request.method == "POST":
        form = SupportForm(request.POST)
        if form.is_valid():
            return _ask(request, membership, RequestKind(form.cleaned_data["kind"]), form.cleaned_data["message"])
    else:
        form = SupportForm(initial={"kind": request.GET.get("kind", "")})
    return render(
        request,
        "accounts/support.html",
        {
            "form": form,
            "membership": membership,
            "requests": membership.account.requests.order_by("-made_at")[:50],
            "obstacle": obstacle_to(membership.account, clock.now()) if membership.is_owner else None,
            "refund_route": route_of(membership.account, RequestKind.REFUND, clock.now()),
            "deletion_asked": membership.account.requests.open().filter(kind=RequestKind.DELETION).first(),
        },
        status=422 if form.errors else 200,
    )


def _ask(request: HttpRequest, membership: Membership, kind: RequestKind, message: str) -> HttpResponse:
    user = User.signed_in(request.user)
    if kind in OWNER_ONLY and not membership.is_owner:
        raise PermissionDenied(
            _("Only the owner of this account, %(owner)s, can ask for this.") % {"owner": membership.account.owner()}
        )
    by = Actor.owner(user) if membership.is_owner else Actor.member(user)
    made, new = ask(membership.account, kind=kind, message=message, by=by, at=clock.now())
    if new:
        messages.success(
            request, _("We have your request %(reference)s and will answer by mail.") % {"reference": made.reference}
        )
    else:
        messages.info(request, _("Your request %(reference)s is already with us.") % {"reference": made.reference})
    if kind == RequestKind.DELETION and (obstacle := obstacle_to(membership.account, clock.now())):
        messages.warning(request, str(obstacle))
    return redirect("support")


@require_POST
@for_owner
def call_deletion_off(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST: nothing is to be deleted after all; until the erasing begins."""
    by = Actor.owner(User.signed_in(request.user))
    try:
        changed = call_off(membership.account, by=by, at=clock.now())
    except TooLate:
        messages.error(request, _("It is too late: the deletion has begun."))
        return redirect("support")
    if changed:
        messages.success(request, _("The deletion is called off. Everything stays as it is."))
    else:
        messages.info(request, _("There is no deletion to call off."))
    return redirect("support")
