"""What this app shows on the desk's first page: who ends today and this week, and how many have left, and why.

A cancellation that is withdrawn is none: it counts as kept, never as an end. A subscription that another one follows,
such as a renewed contract, or that of a customer who came back to a marketplace in time, has not ended either.
Declared in `subscriptions.extension`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet
from django.db.models.functions import TruncWeek
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.core.formats import percent, short_day
from accounts.core.registry import Registry
from accounts.desk.dashboard import figures, svg_charts
from accounts.desk.dashboard.figures import Chart, Choice, Column, FigurePlace, Link, Listing, Row
from accounts.desk.dashboard.svg_charts import Bar, ChartWords, Series
from accounts.desk.own.figures import ACCOUNT, ACCOUNT_ID
from accounts.desk.pages import account_url
from subscriptions.billing_record import BillingRecord
from subscriptions.ending.cancellation import Cancellation, Reason
from subscriptions.subscription import Channel, Subscription

CHANNELS = tuple(Column(channel.value, channel.label) for channel in Channel)
#: Who begins again within this time has not left: so long a marketplace's customer can come back with all data.
BACK_WITHIN = timedelta(days=30)

TOTAL = Column("total", _("total"))
WEEK = Column("week", _("week from"))


@dataclass
class Departures:
    """Of the customers who said in one week that they would leave: how many did, and how many stayed after all."""

    gone: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Quarter:
    """The last weeks, and the departures of each by channel; weeks without any are left out there."""

    weeks: Sequence[date]
    departures: Mapping[Channel, Mapping[date, Departures]]


#: The departures of each week, by its Monday, between two instants.
Source = Callable[[datetime, datetime], dict[date, Departures]]


@dataclass(frozen=True)
class DeparturesOfChannel:
    """How customers of a channel say that they leave."""

    channel: Channel
    source: Source


DEPARTURES: Registry[DeparturesOfChannel] = Registry(key=lambda departures: departures.channel)


def ending(begin: datetime, end: datetime) -> "QuerySet[Subscription]":
    """Subscriptions that end between two instants, and that no other follows."""
    follows = (
        Subscription.objects.real()
        .filter(
            account=OuterRef("account"),
            started_at__gte=OuterRef("ends_at"),
            started_at__lt=OuterRef("ends_at") + BACK_WITHIN,
        )
        .filter(
            # Follows from the above. Said aloud, it lets the database read the beginnings of this time alone.
            started_at__gte=begin,
            started_at__lt=end + BACK_WITHIN,
        )
    )
    return Subscription.objects.real().filter(~Exists(follows), ends_at__gte=begin, ends_at__lt=end)


def _ends_of(
    name: str,
    title: str | Promise,
    definition: str | Promise,
    period: Callable[[datetime, tzinfo], tuple[datetime, datetime]],
) -> Listing:
    return Listing(
        name=name,
        title=title,
        definition=definition,
        place=FigurePlace.ENDS,
        columns=(
            Column("ends_at", _("ends")),
            ACCOUNT,
            ACCOUNT_ID,
            Column("plan", _("plan")),
            Column("channel", _("channel")),
            Column("seats", _("seats")),
        ),
        find=lambda at, zone: ending(*period(at, zone)).select_related("account", "plan").order_by("ends_at", "pk"),
        row=_ends,
        empty=_("None."),
    )


def _ends(subscription: Subscription, at: datetime) -> Row:
    return (
        subscription.ends_at,
        Link(subscription.account.name, account_url(subscription.account_id)),
        str(subscription.account_id),
        Choice(subscription.plan_id, subscription.plan.name),
        Choice(subscription.channel, subscription.get_channel_display()),
        subscription.seats,
    )


def _comments() -> Listing:
    return Listing(
        name="comments",
        title=_("In their own words"),
        definition=_("What owners wrote when they cancelled in the last 13 weeks, the newest first."),
        place=FigurePlace.LEAVING,
        columns=(
            Column("requested_at", _("asked for")),
            ACCOUNT,
            ACCOUNT_ID,
            Column("reference", _("reference")),
            Column("reason", _("reason")),
            Column("comment", _("comment")),
            Column("withdrawn_at", _("withdrawn")),
        ),
        find=lambda at, zone: (
            Cancellation.objects.filter(requested_at__gte=figures.window(at), requested_at__lte=at)
            .exclude(comment="")
            .select_related("subscription__account")
            .order_by("-requested_at", "-pk")
        ),
        row=_comment,
        empty=_("Nobody wrote anything."),
    )


def _comment(found: Cancellation, at: datetime) -> Row:
    account = found.subscription.account
    return (
        found.requested_at,
        Link(account.name, account_url(account.pk)),
        str(account.pk),
        Link(found.reference, reverse("admin:subscriptions_cancellation_change", args=[found.pk])),
        _reason(found.reason),
        found.comment,
        found.withdrawn_at,
    )


def departures(at: datetime) -> Quarter:
    """Who said in the last weeks that they leave, and who of them stayed. A statement for each channel that says so."""
    begin = figures.window(at)
    return Quarter(figures.weeks(at), {each.channel: each.source(begin, at) for each in DEPARTURES.all()})


def cancellations(quarter: Quarter) -> list[Row]:
    """Of each week and channel, who said that they leave, and did not change their minds."""
    counts: Counter[tuple[date, str]] = Counter()
    for channel, found in quarter.departures.items():
        counts.update({(week, channel): departed.gone for week, departed in found.items()})
    return _by_channel(quarter.weeks, counts)


def ends(at: datetime) -> list[Row]:
    """Of each week and channel, how many subscriptions ended. Two statements: of accounts, and of erased ones."""
    begin = figures.window(at)
    counts: Counter[tuple[date, str]] = Counter()
    erased_follow = BillingRecord.objects.filter(
        account_id=OuterRef("account_id"),
        started_at__gte=OuterRef("ended_at"),
        started_at__lt=OuterRef("ended_at") + BACK_WITHIN,
    )
    erased = BillingRecord.objects.filter(
        # While an account is being erased both are there.
        ~Exists(Subscription.objects.filter(pk=OuterRef("pk"))),
        ~Exists(erased_follow),
        ended_at__gte=begin,
        ended_at__lt=at,
    )
    for found, instant in ((ending(begin, at), "ends_at"), (erased, "ended_at")):
        weeks = found.order_by().annotate(week=TruncWeek(instant, tzinfo=UTC)).values_list("week", "channel")
        for week, channel, count in weeks.annotate(count=Count("*")):
            counts[week.date(), channel] += count
    return _by_channel(figures.weeks(at), counts)


def _by_channel(weeks: Sequence[date], counts: Counter[tuple[date, str]]) -> list[Row]:
    rows: list[Row] = []
    for week in weeks:
        parts = [counts[week, channel] for channel in Channel]
        rows.append((week, *parts, sum(parts)))
    return rows


def reasons(at: datetime) -> list[Row]:
    """How often each reason was given, the most frequent first; all of them, also such as nobody gave."""
    found = _asked_for(figures.window(at), at).filter(withdrawn_at=None).order_by()
    counts = dict(found.values_list("reason").annotate(count=Count("*")))
    ordered = sorted([*Reason.values, ""], key=lambda reason: -counts.get(reason, 0))
    return [(_reason(reason), counts.get(reason, 0)) for reason in ordered]


def _reason(code: str) -> Choice:
    return Choice(code or "none", Reason(code).label if code else _("none given"))


def kept(quarter: Quarter) -> list[Row]:
    """Of each week: how many cancelled, how many of them stayed after all, and their share in percent."""
    rows: list[Row] = []
    for week in quarter.weeks:
        found = [departed[week] for departed in quarter.departures.values() if week in departed]
        total = Departures(sum(departed.gone for departed in found), sum(departed.kept for departed in found))
        rows.append((week, total.gone + total.kept, total.kept, _share(total)))
    return rows


def _share(total: Departures) -> float | None:
    everybody = total.gone + total.kept
    return round(100 * total.kept / everybody, 1) if everybody else None


def _cancelled_here(begin: datetime, end: datetime) -> dict[date, Departures]:
    """Only what was bought directly is cancelled here (`cancellation.cancel`), so there is no need to join."""
    weeks = _asked_for(begin, end).order_by().annotate(week=TruncWeek("requested_at", tzinfo=UTC)).values_list("week")
    counted = weeks.annotate(all=Count("*"), kept=Count("withdrawn_at"))
    return {week.date(): Departures(gone=everybody - kept, kept=kept) for week, everybody, kept in counted}


def _asked_for(begin: datetime, end: datetime) -> "QuerySet[Cancellation]":
    return Cancellation.objects.filter(requested_at__gte=begin, requested_at__lte=end)


def _say_weeks(rows: Sequence[Row], words: str) -> str | None:
    totals = _numbers(rows, -1)
    return words % {"all": sum(totals), "now": totals[-1]} if any(totals) else None


def _say_reasons(rows: Sequence[Row]) -> str | None:
    counts = _numbers(rows, 1)
    if not any(counts):
        return None
    most = rows[0][0]
    assert isinstance(most, Choice)
    return gettext("Most often: %(reason)s (%(count)s of %(all)s).") % {
        "reason": most.label,
        "count": counts[0],
        "all": sum(counts),
    }


def _say_kept(rows: Sequence[Row]) -> str | None:
    cancelled, stayed = sum(_numbers(rows, 1)), sum(_numbers(rows, 2))
    if not cancelled:
        return None
    return ngettext(
        "%(share)s kept: %(kept)s of %(all)s cancellation in 13 weeks.",
        "%(share)s kept: %(kept)s of %(all)s cancellations in 13 weeks.",
        cancelled,
    ) % {"share": percent(100 * stayed / cancelled), "kept": stayed, "all": cancelled}


def _draw_channels(chart: Chart, rows: Sequence[Row], said: str) -> SafeString:
    series = [Series(channel.label, _numbers(rows, place)) for place, channel in enumerate(Channel, start=1)]
    return svg_charts.stacked(ChartWords(chart.name, chart.title, said), _weeks(rows), series)


def _draw_reasons(chart: Chart, rows: Sequence[Row], said: str) -> SafeString:
    bars = [
        Bar(choice.label, count, str(count))
        for choice, count in rows
        if isinstance(choice, Choice) and isinstance(count, int) and count
    ]
    return svg_charts.rows(ChartWords(chart.name, chart.title, said), bars)


def _draw_kept(chart: Chart, rows: Sequence[Row], said: str) -> SafeString:
    bars = []
    for label, row in zip(_weeks(rows), rows, strict=True):
        share: Any = row[3]
        bars.append(Bar(label, share or 0, "" if share is None else percent(share)))
    return svg_charts.columns(ChartWords(chart.name, chart.title, said), bars, highest=100)


def _weeks(rows: Sequence[Row]) -> list[str]:
    return [short_day(row[0]) for row in rows if isinstance(row[0], date)]


def _numbers(rows: Sequence[Row], place: int) -> list[int]:
    return [value for row in rows if isinstance(value := row[place], int)]


FIGURES = (
    _ends_of("ends-today", _("Ends today"), _("Subscriptions that end today."), figures.today),
    _ends_of("ends-this-week", _("Ends this week"), _("Subscriptions that end this week."), figures.this_week),
    Chart(
        name="cancellations",
        title=_("Cancellations by week and channel"),
        definition=_(
            "Cancellations by the week in which they were asked for, or in which the marketplace told of them; "
            "those undone since, and those of accounts that have been erased, are not counted."
        ),
        place=FigurePlace.LEAVING,
        columns=(WEEK, *CHANNELS, TOTAL),
        read=departures,
        count=cancellations,
        say=lambda rows: _say_weeks(rows, gettext("%(all)s in 13 weeks, %(now)s of them this week.")),
        draw=_draw_channels,
    ),
    Chart(
        name="ends",
        title=_("Ends by week and channel"),
        definition=_(
            "Subscriptions by the week in which they ended, those of erased accounts included; one that another "
            "follows within 30 days has not ended."
        ),
        place=FigurePlace.LEAVING,
        columns=(WEEK, *CHANNELS, TOTAL),
        count=ends,
        say=lambda rows: _say_weeks(rows, gettext("%(all)s in 13 weeks, %(now)s of them this week.")),
        draw=_draw_channels,
    ),
    Chart(
        name="reasons",
        title=_("Reasons"),
        definition=_(
            "Why owners cancelled in the last 13 weeks, in their own choice; undone cancellations are not counted."
        ),
        place=FigurePlace.LEAVING,
        columns=(Column("reason", _("reason")), Column("cancellations", _("cancellations"))),
        count=reasons,
        say=_say_reasons,
        draw=_draw_reasons,
    ),
    Chart(
        name="kept",
        title=_("Kept after cancelling"),
        definition=_(
            "The share of the cancellations of each week that were undone since: withdrawn by the owner, or called "
            "off because the customer came back to the marketplace."
        ),
        place=FigurePlace.LEAVING,
        columns=(
            WEEK,
            Column("cancelled", _("cancelled")),
            Column("kept", _("kept")),
            Column("percent_kept", _("percent kept")),
        ),
        read=departures,
        count=kept,
        say=_say_kept,
        draw=_draw_kept,
    ),
    _comments(),
)

DIRECT_DEPARTURES = (DeparturesOfChannel(Channel.DIRECT, _cancelled_here),)
