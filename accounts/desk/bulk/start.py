"""From a list to a bulk run: an entry in the list's menu for each act that makes sense for many rows at once.

Chosen rows lead to the act's form; what it finds valid begins the run (`accounts.desk.bulk.run`), whose page then shows
what would happen to each row, before anything does.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.text import format_lazy
from django.views.decorators.http import require_POST

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.desk.actions.action import Act, PlainForm, act_named, acts_of
from accounts.desk.actions.denied import no_right
from accounts.desk.bulk import run as bulk
from accounts.desk.bulk.pages import began

#: What the admin calls an entry of a list's menu: what to call, its name, its words.
Entry = tuple[Callable[[Any, HttpRequest, "QuerySet[Any, Any]"], HttpResponse | None], str, str]
#: Between the keys of the rows in the form's hidden field. No key has one: they are numbers and UUIDs.
COMMA = ","


def urls(guarded: Callable[[Any], Any]) -> list[URLPattern]:
    """The URL of the form, for the admin site; `guarded` lets only staff in."""
    return [path("bulk/begin/<str:name>/", guarded(begin), name="bulk_begin")]


def entries(model: type[Model], request: HttpRequest) -> dict[str, Entry]:
    """The entries of a list's menu: what the reader may do to many rows of the model at once."""
    return {
        act.name: (partial(_choose, act), act.name, str(format_lazy("{label} …", label=act.label)))
        for act in acts_of(model)
        if act.in_bulk and request.user.has_perm(act.permission)
    }


def _choose(act: Act, _model_admin: Any, request: HttpRequest, chosen: "QuerySet[Any, Any]") -> HttpResponse | None:
    """Show the act's form for the rows chosen in a list."""
    keys = [str(pk) for pk in chosen.order_by().values_list("pk", flat=True)[: bulk.MOST + 1]]
    return _form(request, act, act.form(row=None), keys)


@require_POST
def begin(request: HttpRequest, name: str) -> HttpResponse:
    """POST: the act's form, and the keys of the rows. Begins the run, and leads to its page."""
    try:
        act = act_named(name)
    except KeyError as error:
        raise Http404 from error
    if not request.user.has_perm(act.permission):
        raise no_right(act.label, permission=act.permission)
    if not act.in_bulk:
        raise Http404
    keys = [key for key in request.POST.get("rows", "").split(COMMA) if key]
    form = act.form(request.POST, row=None)
    if not form.is_valid():
        return _form(request, act, form, keys, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    by = Actor.staff(User.signed_in(request.user))
    try:
        rows = act.model._default_manager.filter(pk__in=keys).order_by("pk")
        run = bulk.begin(act, rows, _as_posted(form), by=by, at=clock.now())
    except (ValueError, ValidationError) as error:
        raise Http404 from error
    except Refused as refusal:
        messages.error(request, str(refusal))
        return _form(request, act, form, keys, status=HTTPStatus.CONFLICT)
    messages.success(request, began(run.total))
    return redirect("admin:bulk_run", pk=run.pk)


def _as_posted(form: PlainForm) -> dict[str, Any]:
    """What was posted for the form's fields, as the same form takes it again for each row."""
    posted = {}
    for field in form:
        many = getattr(field.field.widget, "allow_multiple_selected", False)
        for name in [key for key in form.data if key == field.html_name or key.startswith(f"{field.html_name}_")]:
            posted[name] = form.data.getlist(name) if many else form.data[name]  # type: ignore[attr-defined]  # a POST
    return posted


def _form(
    request: HttpRequest, act: Act, form: PlainForm, keys: list[str], *, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": act.label,
        "act": act,
        "form": form,
        "rows": COMMA.join(keys),
        "count": len(keys),
        "is_too_many": len(keys) > bulk.MOST,
        "most": bulk.MOST,
    }
    return render(request, "admin/desk/bulk_begin.html", context, status=status)
