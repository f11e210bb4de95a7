"""Blueprints: reading one is always possible; everything else asks the account's entitlements."""

import uuid
from http import HTTPStatus
from urllib.parse import quote

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.blueprints.blueprint import Blueprint, ChangedMeanwhile
from accounts.blueprints.feature_codes import BITS_MENU, INFINITE_GRID, LIVE
from accounts.blueprints.forms import BlueprintForm
from accounts.blueprints.svg import draw
from accounts.core import clock
from accounts.customers import entitlements
from accounts.customers.access import for_members, membership_in
from accounts.customers.account import Membership
from accounts.customers.entitlements import entitlements_of
from accounts.customers.history import Actor
from accounts.customers.promises import require, stands_on, typed
from accounts.customers.user import User

#: As many cards as a page can show without becoming slow to read; more are paged.
PAGE = 60
#: The same for the components of one.
COMPONENTS = 200


@require_GET
@for_members
def home(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET /: the account's blueprints."""
    account = membership.account
    page = _page_number(request)
    blueprints = list(
        account.blueprints.defer("components").order_by("name", "id")[(page - 1) * PAGE : page * PAGE + 1]
    )
    return render(
        request,
        "blueprints/home.html",
        {
            "blueprints": blueprints[:PAGE],
            "next_page": page + 1 if len(blueprints) > PAGE else None,
            "previous_page": page - 1 if page > 1 else None,
            "entitlements": entitlements_of(account, clock.of(request)),
        },
    )


def _page_number(request: HttpRequest) -> int:
    number = request.GET.get("page", "1")
    return int(number) if number.isascii() and number.isdigit() and 0 < int(number[:6]) < 100_000 else 1


@require_http_methods(["GET", "HEAD", "POST"])
def blueprint(request: HttpRequest, blueprint_id: uuid.UUID) -> HttpResponse:
    """GET: one blueprint, its drawing, and a form if it can be edited. POST (`name`, `components`): edit it.

    Refused (409) if somebody has changed it since the form was made; what was typed stays in the form.
    """
    found = _find(request, blueprint_id)
    at = clock.of(request)
    if request.method != "POST":
        form = BlueprintForm(initial={"name": found.name, "components": found.components} | typed(request))
        return _page(request, found, form)
    found.require_editable(at)
    form = BlueprintForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    require(request, found.changed_at, otherwise=ChangedMeanwhile)
    found.edit(name=form.cleaned_data["name"], components=form.cleaned_data["components"], at=at)
    messages.success(request, _("Saved."))
    return redirect("blueprint", found.pk)


def _page(
    request: HttpRequest, found: Blueprint, form: BlueprintForm, *, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    entitled = entitlements_of(found.account, clock.of(request))
    return render(
        request,
        "blueprints/blueprint.html",
        {
            "blueprint": found,
            "entitlements": entitled,
            "read_only": found.is_infinite and not entitled.allow(INFINITE_GRID),
            "page": Paginator(found.components, COMPONENTS).get_page(request.GET.get("page")),
            "drawing": mark_safe(draw(found.components)),  # noqa: S308  # every text in it is escaped by `draw`
            "form": form,
        },
        status=status,
    )


@require_POST
@stands_on("blueprint", "blueprint_id")
def convert(request: HttpRequest, blueprint_id: uuid.UUID) -> HttpResponse:
    """POST: put a blueprint on the standard grid, the way out of read-only."""
    found = _find(request, blueprint_id)
    if found.convert_to_standard_grid(by=Actor.member(User.signed_in(request.user)), at=clock.of(request)):
        messages.success(request, _("The blueprint is on the standard grid now and can be edited on every plan."))
    return redirect("blueprint", found.pk)


@require_GET
def live(request: HttpRequest, blueprint_id: uuid.UUID) -> HttpResponse:
    """GET: the Live view, where cloud resources are drawn as they are now."""
    found = _find(request, blueprint_id)
    entitlements.require(LIVE, found.account, clock.of(request))
    return render(request, "blueprints/live.html", {"blueprint": found, "connections": found.account.connections.all()})


@require_GET
def bits(request: HttpRequest, blueprint_id: uuid.UUID) -> HttpResponse:
    """GET (`component`): a component's Bits menu, links into Datadog.

    An id is what a cloud calls its thing, such as an ARN, and may hold whatever a path can't: it stands in the query.
    """
    found = _find(request, blueprint_id)
    entitlements.require(BITS_MENU, found.account, clock.of(request))
    component_id = request.GET.get("component")
    component = next((item for item in found.components if item["id"] == component_id), None)
    if component is None:
        raise Http404
    name = quote(component["label"], safe="")
    links = [
        (_("Infrastructure"), f"https://app.datadoghq.com/infrastructure?filter={name}"),
        (_("Logs"), f"https://app.datadoghq.com/logs?query=host%3A{name}"),
        (_("Metrics"), f"https://app.datadoghq.com/metric/explorer?filter=host%3A{name}"),
        (_("Traces"), f"https://app.datadoghq.com/apm/traces?query=host%3A{name}"),
    ]
    return render(request, "blueprints/bits.html", {"blueprint": found, "component": component, "links": links})


@require_GET
def thumbnail(request: HttpRequest, blueprint_id: uuid.UUID) -> HttpResponse | FileResponse:
    """GET: the stored small picture, for members only."""
    found = _find(request, blueprint_id)
    if not found.thumbnail:
        raise Http404
    try:
        file = found.thumbnail.open()
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(file, content_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"})


def _find(request: HttpRequest, blueprint_id: uuid.UUID) -> Blueprint:
    found = get_object_or_404(Blueprint.objects.select_related("account"), pk=blueprint_id)
    membership_in(request, found.account_id)
    return found
