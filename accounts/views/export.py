"""The data export: asking for it, how far it is, and fetching it.

For the owner only; also while the account is deactivated, until its erasing begins.
"""

from http import HTTPStatus

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.branding import brand
from accounts.core import clock
from accounts.core.write_guard import BeingErased
from accounts.customers.access import AccountDeactivated, for_leaving_owner, membership_in
from accounts.customers.account import Membership
from accounts.customers.history import Actor
from accounts.customers.promises import page_of
from accounts.customers.user import User
from accounts.exports import parts
from accounts.exports.export import Export, LinkExpired, ask, export_of_link, link_token, note_fetched
from accounts.signing_in.fresh_proof import fresh_proof


@require_http_methods(["GET", "HEAD", "POST"])
@fresh_proof
@for_leaving_owner
def export(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET: what an export is, how far it is, and a fresh link to a finished one. POST: have one made."""
    at = clock.of(request)
    user = User.signed_in(request.user)
    if request.method == "POST":
        try:
            _export, new = ask(membership.account, by=Actor.owner(user), at=at)
        except BeingErased as error:
            raise AccountDeactivated(membership) from error
        if not new:
            messages.info(request, _("Your export is already being prepared."))
        return redirect(page_of(membership.account, "export"))
    exports = Export.objects.filter(account=membership.account_id)
    building = exports.unfinished().first()
    ready = exports.fetchable(at).order_by("-finished_at").first()
    response = render(
        request,
        "accounts/export.html",
        {
            "membership": membership,
            "building": building,
            "is_waiting": building and building.attempts and building.next_attempt_at > at,
            "ready": ready,
            "token": link_token(ready, user) if ready else "",
            "contents": parts.on_page(),
        },
    )
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
@fresh_proof
def export_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """The archive, to the owner whom the link was made for (others: 404). 410 when link or archive has expired."""
    at = clock.of(request)
    user = User.signed_in(request.user)
    try:
        export = export_of_link(token, user)
    except LinkExpired:
        return _gone(
            request, _("This link worked for ten minutes only. Go back to the page of the export for a new one.")
        )
    if export is None or not membership_in(request, export.account_id, leaving_owner=True).is_owner:
        raise Http404
    try:
        file = export.file.open() if export.is_fetchable(at) else None
    except FileNotFoundError:
        file = None
    if file is None:
        return _gone(
            request, _("This export has been deleted. Go back to the page of the export to ask for a new one.")
        )
    if request.method == "GET":
        note_fetched(export, by=Actor.owner(user), at=at)
    response = FileResponse(
        file,
        as_attachment=True,
        filename=f"{slugify(brand.current().name) or 'data'}-export-{export.asked_at:%Y-%m-%d}.zip",
        content_type="application/zip",
    )
    response["Cache-Control"] = "private, no-store"
    return response


def _gone(request: HttpRequest, message: str) -> HttpResponse:
    return render(request, "accounts/export_gone.html", {"message": message}, status=HTTPStatus.GONE)
