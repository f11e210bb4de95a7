"""Support: what customers ask of staff, how it stands, and what was answered."""

from http import HTTPStatus

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.core import clock
from accounts.core.limits import TooOften
from accounts.core.refusal import Refused
from accounts.customers.access import for_leaving_members, for_leaving_owner
from accounts.customers.account import Membership
from accounts.customers.history import Actor
from accounts.customers.promises import page_of, require, stands_on, typed
from accounts.customers.user import User
from accounts.erasure.purge import Purge
from accounts.erasure.scheduling import TooLate
from accounts.forms import FurtherMessageForm, SupportForm
from accounts.signing_in.fresh_proof import require_fresh_proof
from accounts.support.deletion import call_off, obstacle_to
from accounts.support.messages import Message, OurTurn, write_further
from accounts.support.requests import RequestKind, SupportRequest, ask
from accounts.support.routing import route_of

#: Requests on a page, newest first, and the newest messages of each: the page is read in one go, however long they are.
SHOWN = 20
LATEST = 5
#: Messages on a page of one conversation.
CONVERSATION = 50


@require_http_methods(["GET", "HEAD", "POST"])
@for_leaving_members
def support(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: the form and the account's requests. POST (`kind`, `message`): make one."""
    if request.method == "POST":
        form = SupportForm(request.POST, is_owner=membership.is_owner)
        if form.is_valid():
            return _ask(request, membership, form)
        return _page(request, membership, form=form)
    initial = {"kind": request.GET.get("kind", "")} | typed(request)
    return _page(request, membership, form=SupportForm(initial=initial, is_owner=membership.is_owner))


@require_http_methods(["GET", "HEAD", "POST"])
@stands_on("support")
@for_leaving_members
def conversation(request: HttpRequest, membership: Membership, reference: str) -> HttpResponse:
    """Of a request of one's own, or of any as the owner; anybody else's is not found (404).

    GET: all that was said, newest first. POST (`text`): add to it while it is open.
    """
    found = get_object_or_404(_readable(membership), reference=reference)
    if request.method != "POST":
        said = found.messages.select_related("written_by").order_by("-written_at", "-pk")
        page = Paginator(said, CONVERSATION).get_page(request.GET.get("page"))
        return render(request, "accounts/conversation.html", {"row": found, "page": page, "membership": membership})
    form = FurtherMessageForm(reference, request.POST)
    if not form.is_valid():
        return _page(request, membership, further=form, about=found)
    by = _actor(request, membership)
    try:
        write_further(found, text=form.cleaned_data["text"], by=by, at=clock.of(request))
    except (OurTurn, TooOften) as refused:
        form.add_error("text", str(refused))
        return _page(request, membership, further=form, about=found, status=HTTPStatus.TOO_MANY_REQUESTS)
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
    status: HTTPStatus | None = None,
) -> HttpResponse:
    """The form and the requests; `further` is the form for more `about` one of them, sent with a mistake in it."""
    account, at = membership.account, clock.of(request)
    readable = set(_readable(membership).values_list("pk", flat=True))
    newest = Message.objects.select_related("written_by").order_by("-written_at", "-pk")[: LATEST + 1]
    rows = account.requests.order_by("-made_at", "-pk").prefetch_related(Prefetch("messages", newest, to_attr="newest"))
    page = Paginator(rows, SHOWN).get_page(request.GET.get("page"))
    wrong = bool((form and form.errors) or (further and further.errors))
    return render(
        request,
        "accounts/support.html",
        {
            "form": form or SupportForm(is_owner=membership.is_owner),
            "membership": membership,
            "page": page,
            "requests": [
                {
                    "row": row,
                    "readable": row.pk in readable,
                    "messages": _newest(row)[:LATEST][::-1],
                    "has_older": len(_newest(row)) > LATEST,
                    "form": further if about and row.pk == about.pk else FurtherMessageForm(row.reference),
                }
                for row in page
            ],
            "obstacle": obstacle_to(account, at) if membership.is_owner else None,
            "deletion_asked": _deletion_asked(membership),
            "refund_route": route_of(account, RequestKind.REFUND, at),
        },
        status=status or (HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK),
    )


def _newest(row: SupportRequest) -> list[Message]:
    """As the page has fetched them, one more than it shows."""
    found: list[Message] = row.newest  # type: ignore[attr-defined]  # fetched under this name
    return found


def _readable(membership: Membership) -> "QuerySet[SupportRequest]":
    """The requests whose texts this person may read: the owner all, others their own."""
    requests = membership.account.requests.all()
    return requests if membership.is_owner else requests.filter(made_by=membership.user_id)


def _actor(request: HttpRequest, membership: Membership) -> Actor:
    user = User.signed_in(request.user)
    return Actor.owner(user) if membership.is_owner else Actor.member(user)


def _ask(request: HttpRequest, membership: Membership, form: SupportForm) -> HttpResponse:
    kind = RequestKind(form.cleaned_data["kind"])
    if kind == RequestKind.DELETION:
        require_fresh_proof(request)
    by, at = _actor(request, membership), clock.of(request)
    try:
        made, new = ask(membership.account, kind=kind, message=form.cleaned_data["message"], by=by, at=at)
    except TooOften as refused:
        form.add_error(None, str(refused))
        return _page(request, membership, form=form, status=HTTPStatus.TOO_MANY_REQUESTS)
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
