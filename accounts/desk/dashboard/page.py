"""The desk's first page: what is overdue or at risk, who ends, and how many leave and why. And a sheet of each figure.

Called by the admin site (`config.admin_site`), which has checked that the reader works at the desk.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.core import clock
from accounts.desk.dashboard import csv_sheets, figures, first_steps
from accounts.desk.dashboard.figures import Chart, Choice, Column, Excerpt, Figure, FigurePlace, Link, Listing, Row
from accounts.jobs import invariants
from accounts.jobs.invariants import Violation


def urls(guarded: Callable[[Any], Any]) -> list[URLPattern]:
    """The URLs of these pages, for the admin site; `guarded` lets only staff in."""
    return [path("figures/<slug:name>.csv", guarded(sheet), name="figure")]


@dataclass(frozen=True)
class Alarm:
    """Something that is overdue, or that staff should look at, with the links to where they do."""

    violation: Violation
    is_overdue: bool
    examples: list[Link]
    list_url: str


@dataclass(frozen=True)
class Listed:
    figure: Listing
    excerpt: Excerpt


@dataclass(frozen=True)
class Drawn:
    """A chart with its rows, what they say in a line, and the drawing; nothing is drawn of nothing."""

    figure: Chart
    rows: Sequence[Row]
    said: str | None
    drawing: SafeString


def at(now: datetime, zone: tzinfo) -> dict[str, Any]:
    """What the page shows as of `now`; days begin and end in `zone`."""
    read_once = cache(lambda read: read(now))

    def shown(*places: FigurePlace) -> list[Listed | Drawn]:
        found = (figure for place in places for figure in figures.registered(place))
        return [_shown(figure, now, zone, read_once) for figure in found]

    return {
        "first_steps": first_steps.missing(),
        "alarms": alarms(now),
        "at_risk": shown(FigurePlace.AT_RISK),
        "ends": shown(FigurePlace.ENDS),
        "trends": shown(FigurePlace.LEAVING, FigurePlace.DEADLINES),
        "now": now,
        "zone": str(zone),
    }


@require_safe
def sheet(request: HttpRequest, name: str) -> HttpResponseBase:
    """GET: all rows of a figure, as CSV."""
    try:
        figure = figures.named(name)
    except KeyError as error:
        raise Http404 from error
    now = clock.now()
    rows = figure.rows(now, timezone.get_current_timezone())
    return csv_sheets.download(f"{name}-{now:%Y-%m-%d}", [column.code for column in figure.columns], rows)


def alarms(now: datetime) -> list[Alarm]:
    """What the invariants say: what is overdue first, then what is merely to be looked at."""
    overdue = [_alarm(violation, is_overdue=True) for violation in invariants.violations(now)]
    return overdue + [_alarm(warning, is_overdue=False) for warning in invariants.warnings(now)]


class Alarms(Figure):
    """The invariants, for their sheet; the page shows them with links."""

    def rows(self, at: datetime, zone: tzinfo) -> Iterable[Row]:
        return [
            (
                Choice("overdue", _("overdue")) if alarm.is_overdue else Choice("warning", _("to be looked at")),
                alarm.violation.name,
                alarm.violation.message,
                alarm.violation.count,
                " ".join(alarm.violation.examples),
            )
            for alarm in alarms(at)
        ]


def _shown(
    figure: Figure, now: datetime, zone: tzinfo, read: Callable[[Callable[[datetime], Any]], Any]
) -> Listed | Drawn:
    match figure:
        case Listing():
            return Listed(figure, figure.excerpt(now, zone))
        case Chart():
            rows = figure.count(read(figure.read))
            said = figure.say(rows)
            return Drawn(figure, rows, said, figure.draw(figure, rows, said) if said else SafeString(""))
    raise TypeError(f"{figure.name} is neither a listing nor a chart")


def _alarm(violation: Violation, *, is_overdue: bool) -> Alarm:
    model = violation.model
    if model is None or not admin.site.is_registered(model):
        return Alarm(violation, is_overdue, [Link(text, "") for text in violation.examples], "")
    page = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    keys = [*violation.keys, *[None] * (len(violation.examples) - len(violation.keys))]
    examples = [
        Link(text, reverse(f"{page}_change", args=[key]) if key is not None else "")
        for text, key in zip(violation.examples, keys, strict=True)
    ]
    query = f"?{violation.listed_by}" if violation.listed_by else ""
    return Alarm(violation, is_overdue, examples, reverse(f"{page}_changelist") + query)


FIGURES = (
    Alarms(
        name="attention",
        title=_("Needs attention"),
        definition=_("What is overdue or inconsistent, and what staff should look at though nothing is overdue."),
        place=FigurePlace.ALARMS,
        columns=(
            Column("severity", _("severity")),
            Column("name", _("name")),
            Column("message", _("message")),
            Column("count", _("count")),
            Column("examples", _("examples")),
        ),
    ),
)
