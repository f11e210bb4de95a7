"""What this app shows on the desk's first page: steps that fail, and how long each takes.

Declared in `marketplace.extension`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, LiteralString

from django.db import connection
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, TruncWeek
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core.formats import duration
from accounts.desk.dashboard import figures, svg_charts
from accounts.desk.dashboard.figures import Chart, Choice, Column, FigurePlace, Link, Listing, Row
from accounts.desk.dashboard.svg_charts import ChartWords, Span
from accounts.desk.own.figures import ACCOUNT, ACCOUNT_ID
from accounts.desk.pages import account_url
from accounts.models import Account
from marketplace.aws.agreement import AwsAgreement
from marketplace.offboarding.offboarding import Offboarding, OffboardingCause, OffboardingStep, StepKind
from subscriptions.desk.figures import Departures, DeparturesOfChannel
from subscriptions.subscription import Channel

#: Times are taken from so many of each step, the newest: enough for a percentile to stand still, and as quick to read
#: with a million offboardings as with a thousand.
SAMPLE = 2000

#: Of each step that was done in the window: how many of the sample, and the time since the message was received.
MEASURE_STEPS: LiteralString = """
SELECT wanted.kind, count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.9) WITHIN GROUP (ORDER BY took)
  FROM unnest(%(kinds)s::text[]) AS wanted (kind)
 CROSS JOIN LATERAL (
       SELECT step.done_at - offboarding.received_at AS took
         FROM marketplace_step AS step
         JOIN marketplace_offboarding AS offboarding ON offboarding.id = step.offboarding_id
        WHERE step.kind = wanted.kind AND step.done_at BETWEEN %(begin)s AND %(at)s AND offboarding.cause = %(cause)s
        ORDER BY step.done_at DESC LIMIT %(sample)s
       ) AS done
 GROUP BY wanted.kind
"""


def _steps() -> Listing:
    return Listing(
        name="steps",
        title=_("Failing offboarding steps"),
        definition=_("Steps of open offboardings that were tried and are still not done, the nearest deadline first."),
        place=FigurePlace.AT_RISK,
        columns=(
            Column("deadline_at", _("deadline")),
            ACCOUNT,
            ACCOUNT_ID,
            Column("step", _("step")),
            Column("attempts", _("attempts")),
            Column("next_attempt_at", _("next attempt")),
            Column("last_error", _("last error")),
        ),
        find=failing_steps,
        row=_step,
        empty=_("No step fails."),
    )


def failing_steps(at: datetime, zone: tzinfo) -> "QuerySet[Any, Any]":
    """Steps that were tried in vain. Waiting for the purge is no failure: purges have a list of their own."""
    name = Account.objects.filter(pk=OuterRef("offboarding__account_id")).values("name")
    return (
        OffboardingStep.objects.undone()
        .filter(attempts__gt=0, offboarding__called_off_at=None, offboarding__finished_at=None)
        .exclude(kind=StepKind.PURGE)
        .select_related("offboarding")
        .annotate(account_name=Subquery(name))
        .order_by("offboarding__deadline_at", "pk")
    )


def _step(step: Any, at: datetime) -> Row:
    account_id = step.offboarding.account_id
    return (
        step.offboarding.deadline_at,
        Link(step.account_name or str(account_id), account_url(account_id)),
        str(account_id),
        Choice(step.kind, step.get_kind_display()),
        step.attempts,
        step.next_attempt_at,
        step.last_error,
    )


def _times() -> Chart:
    return Chart(
        name="step-times",
        title=_("From “cancelled” to each step done"),
        definition=_(
            "Time from receiving the marketplace's message to the end of each step, for steps that came to their end "
            "in the last 13 weeks, the newest 2,000 of each: the bar ends where nine in ten were done, the mark is the "
            "median."
        ),
        place=FigurePlace.DEADLINES,
        columns=(
            Column("step", _("step")),
            Column("done", _("done")),
            Column("median_seconds", _("median")),
            Column("ninetieth_percentile_seconds", _("nine in ten within")),
        ),
        count=step_times,
        say=_say_times,
        draw=_draw_times,
    )


def step_times(at: datetime) -> list[Row]:
    """Of each step, in their order: how many were done, the median and the 90th percentile of the time that took."""
    with connection.cursor() as cursor:
        cursor.execute(
            MEASURE_STEPS,
            {
                "kinds": StepKind.values,
                "begin": figures.window(at),
                "at": at,
                "cause": OffboardingCause.CANCELLED,
                "sample": SAMPLE,
            },
        )
        found = {kind: (count, median, ninety) for kind, count, median, ninety in cursor.fetchall()}
    return [(Choice(kind, kind.label), *found.get(kind, (0, None, None))) for kind in StepKind]


def _say_times(rows: Sequence[Row]) -> str | None:
    found = _spans(rows)
    if not found:
        return None
    last = found[-1]
    return gettext("%(step)s: half within %(median)s, nine in ten within %(ninety)s.") % {
        "step": last.label,
        "median": duration(last.median),
        "ninety": duration(last.ninety),
    }


def _draw_times(chart: Chart, rows: Sequence[Row], said: str) -> SafeString:
    ticks = [duration(tick) for tick in svg_charts.TICKS]
    return svg_charts.spans(ChartWords(chart.name, chart.title, said), _spans(rows), ticks)


def _spans(rows: Sequence[Row]) -> list[Span]:
    return [
        Span(step.label, median, ninety, _told(median, ninety))
        for step, _count, median, ninety in rows
        if isinstance(step, Choice) and isinstance(median, timedelta) and isinstance(ninety, timedelta)
    ]


def _told(median: timedelta, ninety: timedelta) -> str:
    return gettext("median %(median)s · 90%% %(ninety)s") % {"median": duration(median), "ninety": duration(ninety)}


def _told_by_github(begin: datetime, end: datetime) -> dict[date, Departures]:
    """Customers of GitHub Marketplace that left, by when we were told, and those that came back in time.

    Who stays on Free keeps the data, not the subscription.
    """
    told = Offboarding.objects.filter(received_at__gte=begin, received_at__lte=end).order_by()
    came_back = Q(called_off_at__isnull=False) & ~Q(called_off_because="chose_free")
    weeks = told.annotate(week=TruncWeek("received_at", tzinfo=UTC)).values_list("week")
    counted = weeks.annotate(all=Count("*"), kept=Count("received_at", filter=came_back))
    return {week.date(): Departures(gone=everybody - kept, kept=kept) for week, everybody, kept in counted}


def _told_by_aws(begin: datetime, end: datetime) -> dict[date, Departures]:
    """By when AWS first said that a buyer leaves. Who subscribes again before the end has never left, nor been kept."""
    told = AwsAgreement.objects.registered().annotate(told_at=Coalesce("unsubscribe_pending_at", "ended_at"))
    weeks = told.filter(told_at__gte=begin, told_at__lte=end).annotate(week=TruncWeek("told_at", tzinfo=UTC))
    counted = weeks.order_by().values_list("week").annotate(gone=Count("*"))
    return {week.date(): Departures(gone=gone) for week, gone in counted}


FIGURES = (
    _steps(),
    _times(),
)

MARKETPLACE_DEPARTURES = (
    DeparturesOfChannel(Channel.GITHUB_MARKETPLACE, _told_by_github),
    DeparturesOfChannel(Channel.AWS_MARKETPLACE, _told_by_aws),
)
