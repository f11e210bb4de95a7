"""The pages of bulk runs: the list, one run with its progress and its rows, and what can be done to it.

Called by the admin site (`config.admin_site`), which has checked that the reader works at the desk. Whoever may do the
act itself may look at its runs and cancel them; only the one who began a run confirms it.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.desk.account_page.timeline import names_of
from accounts.desk.actions.denied import no_right
from accounts.desk.bulk import run as bulk
from accounts.desk.bulk.run import BulkItem, BulkRun, act_of
from accounts.desk.dashboard import csv_sheets
from accounts.desk.dashboard.figures import Choice, Row

#: Runs of the list, and rows of a run, on one page.
RUNS, ROWS = 25, 100
#: Seconds until a page that shows work under way asks again.
REFRESH = 3
SHEET = ("row", "account_id", "name", "state", "would_say", "would_write", "outcome", "attempts", "done_at")
STATES: dict[str, str | Promise] = {
    "done": gettext_lazy("done"),
    "refused": gettext_lazy("refused"),
    "failed": gettext_lazy("failed"),
    "left": gettext_lazy("left alone"),
    "retrying": gettext_lazy("is tried again"),
    "ready": gettext_lazy("to be done"),
    "waiting": gettext_lazy("to be rehearsed"),
}
#: The rows that the page can be narrowed to.
SHOWN = {
    "done": Q(done_at__isnull=False),
    "refused": Q(refused_at__isnull=False),
    "failed": Q(failed_at__isnull=False),
    "left": Q(left_at__isnull=False),
    "waiting": Q(done_at=None, refused_at=None, failed_at=None, left_at=None),
}


def urls(guarded: Callable[[Any], Any]) -> list[URLPattern]:
    """The URLs of these pages, for the admin site; `guarded` lets only staff in."""
    return [
        path("bulk/", guarded(runs_page), name="bulk_runs"),
        path("bulk/<int:pk>/", guarded(run_page), name="bulk_run"),
        path("bulk/<int:pk>/results.csv", guarded(results), name="bulk_results"),
        path("bulk/<int:pk>/confirm/", guarded(confirm), name="bulk_confirm"),
        path("bulk/<int:pk>/cancel/", guarded(cancel), name="bulk_cancel"),
        path("bulk/<int:pk>/retry/", guarded(retry), name="bulk_retry"),
    ]


@require_safe
def runs_page(request: HttpRequest) -> HttpResponse:
    """GET: the runs, the newest first."""
    page = Paginator(BulkRun.objects.order_by("-pk"), RUNS).get_page(request.GET.get("page"))
    runs = list(page.object_list)
    names = names_of({run.by_id for run in runs})
    shown = [{"run": run, "label": _label(run), "by": names.get(run.by_id, run.by_id)} for run in runs]
    context = {**admin.site.each_context(request), "title": _("Bulk runs"), "runs": shown, "page": page}
    return render(request, "admin/desk/bulk_runs.html", context)


@require_safe
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: one run. While something is under way the page asks again by itself, unless `still` is in its address."""
    run = _found(request, pk)
    only = request.GET.get("only", "")
    items = run.items.order_by("pk")
    page = Paginator(items.filter(SHOWN[only]) if only in SHOWN else items, ROWS).get_page(request.GET.get("page"))
    is_mine = run.by_id == User.signed_in(request.user).pk
    is_moving = run.phase in ("rehearsing", "running")
    response = render(
        request,
        "admin/desk/bulk_run.html",
        {
            **admin.site.each_context(request),
            "title": f"{_label(run)} ({run.total})",
            "run": run,
            "by": names_of({run.by_id}).get(run.by_id, run.by_id),
            "tally": run.tally(),
            "page": page,
            "items": [(item, STATES[item.state]) for item in page.object_list],
            "only": only if only in SHOWN else "",
            "choices": [(state, STATES[state]) for state in SHOWN],
            "is_mine": is_mine,
            "is_moving": is_moving,
            "is_still": "still" in request.GET,
        },
    )
    if is_moving and "still" not in request.GET:
        response["Refresh"] = str(REFRESH)
    return response


@require_safe
def results(request: HttpRequest, pk: int) -> HttpResponseBase:
    """GET: every row with how it went, as CSV."""
    run = _found(request, pk)
    rows = (_result(item) for item in run.items.order_by("pk").iterator(chunk_size=1000))
    return csv_sheets.download(f"bulk-run-{run.pk}", SHEET, rows)


def _result(item: BulkItem) -> Row:
    return (
        item.target_id,
        str(item.account_id or ""),
        item.name,
        Choice(item.state, STATES[item.state]),
        item.would_say,
        "; ".join(item.would_write),
        item.outcome or item.last_error,
        item.attempts,
        item.done_at,
    )


@require_POST
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """POST: have the rehearsed rows carried out."""
    run = _found(request, pk)
    by = Actor.staff(User.signed_in(request.user))
    return _told(request, run, lambda: bulk.confirm(run, by=by, at=clock.now()), _("It is carried out now."))


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """POST: leave alone what is not done yet."""
    run = _found(request, pk)
    return _told(request, run, lambda: bulk.cancel(run, at=clock.now()), _("Cancelled. What was done stays done."))


@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """POST: put failed rows back in line."""
    run = _found(request, pk)
    by = Actor.staff(User.signed_in(request.user))
    return _told(request, run, lambda: bulk.retry(run, by=by, at=clock.now()), _("The failed rows are tried again."))


def _told(request: HttpRequest, run: BulkRun, change: Callable[[], int], said: str) -> HttpResponse:
    try:
        if change():
            messages.success(request, said)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("admin:bulk_run", pk=run.pk)


def _found(request: HttpRequest, pk: int) -> BulkRun:
    """The run. Raises `Http404`, and `Denied` for those who may not do what it does."""
    run = get_object_or_404(BulkRun, pk=pk)
    act = act_of(run)
    if act and not request.user.has_perm(act.permission):
        raise no_right(act.label, permission=act.permission)
    return run


def _label(run: BulkRun) -> str:
    act = act_of(run)
    return str(act.label) if act else run.act


def began(count: int) -> str:
    """What is said when a run has begun, for whoever begins one."""
    return ngettext(
        "%(count)d row is being rehearsed. Nothing happens to it before you confirm.",
        "%(count)d rows are being rehearsed. Nothing happens to them before you confirm.",
        count,
    ) % {"count": count}
