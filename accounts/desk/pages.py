"""The pages of the support desk: an account's story, a request, and an act in its three steps.

Called by the admin site (`config.admin_site`), which has checked that the reader works at the desk. What an act itself
needs is checked here, for GET and POST alike.
"""

import uuid
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.core import clock, foreign_input
from accounts.core.refusal import Refused
from accounts.customers.account import Account
from accounts.customers.history import Actor, Event
from accounts.customers.user import User
from accounts.desk.account_page.panels import Subject, panels_of
from accounts.desk.account_page.timeline import story_of
from accounts.desk.actions.action import NEW, Act, PlainForm, Row, act_named, rehearse
from accounts.desk.actions.denied import no_right
from accounts.support.deletion import obstacle_to
from accounts.support.requests import RequestKind, SupportRequest

#: Messages of a request on its page: a conversation is as long as a customer and we make it.
SAID = 100


def urls(guarded: Callable[[Any], Any]) -> list[URLPattern]:
    """The URLs of these pages, for the admin site; `guarded` lets only staff in."""
    return [path("act/<str:name>/<str:pk>/", guarded(act_page), name="act")]


def account_url(account_id: uuid.UUID | None) -> str:
    """The page that tells an account's story; the desk's first page where there is no account."""
    if account_id is None:
        return reverse("admin:index")
    return reverse("admin:accounts_account_change", args=[account_id])


@require_safe
def account_page(request: HttpRequest, account_id: uuid.UUID) -> HttpResponse:
    """GET: everything about one account. One that has been erased is told of by what outlives it."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None and not Event.objects.filter(account_id=account_id).exists():
        raise Http404
    at = clock.now()
    subject = Subject(account_id, account)
    before = _before(request)
    return render(
        request,
        "admin/desk/account.html",
        {
            **admin.site.each_context(request),
            "title": str(account) if account else _("An account that has been erased"),
            "account_id": account_id,
            "account": account,
            "panels": panels_of(subject, at),
            "story": story_of(account_id, before=before or at),
            "is_newest": before is None,
        },
    )


@require_safe
def request_page(request: HttpRequest, pk: str) -> HttpResponse:
    """GET: a request, what was said about it, what staff wrote for each other, and how its account stands."""
    try:
        found = SupportRequest.objects.select_related("account", "made_by", "assigned_to").get(pk=pk)
    except (SupportRequest.DoesNotExist, ValueError) as error:
        raise Http404 from error
    at = clock.now()
    return render(
        request,
        "admin/desk/request.html",
        {
            **admin.site.each_context(request),
            "title": f"{found.reference}: {found.get_kind_display()}",
            "found": found,
            "conversation": found.messages.select_related("written_by").order_by("-written_at", "-pk")[:SAID][::-1],
            "older": max(0, found.messages.count() - SAID),
            "notes": found.notes.select_related("written_by"),
            "proposals": found.proposals.select_related("proposed_by", "approved_by").order_by("-proposed_at"),
            "obstacle": obstacle_to(found.account, at) if found.kind == RequestKind.DELETION else None,
            "panels": panels_of(Subject(found.account_id, found.account), at),
            "at": at,
        },
    )


def _before(request: HttpRequest) -> datetime | None:
    """Where the page of the story begins, as the link to older lines says; None for the newest."""
    try:
        return foreign_input.instant_in(request.GET.get("before", ""))
    except ValidationError:
        return None


@require_http_methods(["GET", "HEAD", "POST"])
def act_page(request: HttpRequest, name: str, pk: str) -> HttpResponse:
    """GET: what the act needs to know. POST: what it will do, rehearsed; POST with `confirmed`: do it.

    422 where the form is wrong, 409 where the act is refused; nothing has changed then.
    """
    act, row = _found(request, name, pk)
    form = act.form(request.POST or None, row=row)
    if not form.is_bound or not form.is_valid():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.is_bound else HTTPStatus.OK
        return _step(request, act, row, form, status=status)
    by, at = Actor.staff(User.signed_in(request.user)), clock.now()
    try:
        if "confirmed" not in request.POST:
            rehearsal = rehearse(act, row, form.cleaned_data, by=by, at=at)
            return _step(request, act, row, form, rehearsal=rehearsal)
        said = act.perform(row, form.cleaned_data, by=by, at=at)
    except Refused as refusal:
        return _step(request, act, row, form, refusal=str(refusal), status=HTTPStatus.CONFLICT)
    messages.success(request, said)
    return redirect(_back(act, row))


def _found(request: HttpRequest, name: str, pk: str) -> tuple[Act, Row]:
    """The act and its row. Raises `Http404`, and `Denied` for those who may not do this."""
    try:
        act = act_named(name)
        if act.makes and pk != NEW:
            raise Http404
        row = None if act.makes else act.model._default_manager.get(pk=pk)
    except (KeyError, ObjectDoesNotExist, ValueError, ValidationError) as error:
        raise Http404 from error
    if not request.user.has_perm(act.permission):
        raise no_right(act.label, permission=act.permission, account_id=act.account_of(row))
    return act, row


def _step(
    request: HttpRequest, act: Act, row: Row, form: PlainForm, *, status: int = HTTPStatus.OK, **shown: Any
) -> HttpResponse:
    account_id = act.account_of(row)
    context = {
        **admin.site.each_context(request),
        "title": act.label,
        "act": act,
        "row": row,
        "form": form,
        "account": Account.objects.filter(pk=account_id).first() if account_id else None,
        "back": _back(act, row),
        **shown,
    }
    return render(request, "admin/desk/act.html", context, status=status)


def _back(act: Act, row: Row) -> str:
    return act.leads_to(row) if act.leads_to else account_url(act.account_of(row))
