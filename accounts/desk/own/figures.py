"""What this app shows on the desk's first page: purges by deadline and their margins, mails, requests.

Declared in `accounts.extension`.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Any, LiteralString

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.customers.account import Account
from accounts.desk.dashboard import figures, svg_charts
from accounts.desk.dashboard.figures import Chart, Choice, Column, FigurePlace, FigureProgress, Link, Listing, Row
from accounts.desk.pages import account_url
from accounts.erasure import inventory
from accounts.erasure.purge import Purge
from accounts.erasure.storage import FILE_STORE
from accounts.mail.notices import Notice
from accounts.support.requests import SupportRequest

ACCOUNT = Column("account", _("account"))
ACCOUNT_ID = Column("account_id", _("account id"), sheet_only=True)
#: Where the classes of the histogram of margins begin, in hours; before the first the deadline was missed.
MARGINS = (0, 1, 3, 6, 12, 24, 7 * 24)

#: `width_bucket` counts the borders that are not above the value.
COUNT_MARGINS: LiteralString = """
SELECT width_bucket(EXTRACT(EPOCH FROM deadline_at - verified_at) / 3600, %(borders)s::numeric[]), count(*)
  FROM accounts_purge
 WHERE verified_at BETWEEN %(begin)s AND %(at)s AND erased_before_at IS NULL
 GROUP BY 1
"""


def _purges() -> Listing:
    return Listing(
        name="purges",
        title=_("Purges by deadline"),
        definition=_("Accounts whose data must be erased and is not yet proven erased, the nearest deadline first."),
        place=FigurePlace.AT_RISK,
        columns=(
            Column("deadline_at", _("deadline")),
            ACCOUNT,
            ACCOUNT_ID,
            Column("cause", _("cause")),
            Column("due_at", _("due")),
            Column("progress", _("progress")),
            Column("obstacle", _("in its way")),
        ),
        find=open_purges,
        row=_purge,
        empty=_("No data is waiting to be erased."),
    )


def open_purges(at: datetime, zone: tzinfo) -> "QuerySet[Any, Any]":
    """Open purges with the names of their accounts, the nearest deadline first."""
    name = Account.objects.filter(pk=OuterRef("account_id")).values("name")
    return Purge.objects.open().annotate(account_name=Subquery(name)).order_by("deadline_at", "pk")


def _purge(purge: Any, at: datetime) -> Row:
    account_id = purge.account_id
    return (
        purge.deadline_at,
        Link(purge.account_name or str(account_id), account_url(account_id)),
        str(account_id),
        Choice(purge.cause, purge.get_cause_display()),
        purge.due_at,
        progress_of(purge) if purge.started_at else None,
        purge.waiting_for or purge.last_error,
    )


def progress_of(purge: Purge) -> FigureProgress:
    """How many of the places of the inventory have been emptied."""
    stores, erasers = inventory.stores(), inventory.erasers()
    places = {store.name for store in stores} | {eraser.name for eraser in erasers} | {FILE_STORE}
    return FigureProgress(sum(purge.is_done(place) for place in places), len(places))


def _requests() -> Listing:
    return Listing(
        name="requests",
        title=_("Requests due"),
        definition=_("Open requests that have a date by which they must be answered, the nearest first."),
        place=FigurePlace.AT_RISK,
        columns=(
            Column("due_at", _("answer due")),
            Column("reference", _("reference")),
            Column("kind", _("about")),
            ACCOUNT,
            ACCOUNT_ID,
            Column("made_at", _("made")),
        ),
        find=lambda at, zone: (
            SupportRequest.objects.open()
            .filter(due_at__isnull=False)
            .select_related("account")
            .order_by("due_at", "pk")
        ),
        row=_request,
        empty=_("No answer is due."),
    )


def _request(request: SupportRequest, at: datetime) -> Row:
    return (
        request.due_at,
        Link(request.reference, reverse("admin:accounts_supportrequest_change", args=[request.pk])),
        Choice(request.kind, request.get_kind_display()),
        Link(request.account.name, account_url(request.account_id)),
        str(request.account_id),
        request.made_at,
    )


def _mails() -> Listing:
    return Listing(
        name="mails",
        title=_("Stuck mails"),
        definition=_("Mails queued more than 15 minutes ago and still not sent, the oldest first."),
        place=FigurePlace.AT_RISK,
        columns=(
            Column("queued_at", _("queued")),
            Column("kind", _("mail")),
            ACCOUNT,
            ACCOUNT_ID,
            Column("attempts", _("attempts")),
            Column("next_attempt_at", _("next attempt")),
            Column("last_error", _("last error")),
        ),
        find=stuck_mails,
        row=_mail,
        empty=_("Every mail went out."),
    )


def stuck_mails(at: datetime, zone: tzinfo) -> "QuerySet[Any, Any]":
    """Mails that should have been sent by now, the oldest first."""
    return Notice.objects.overdue(at).select_related("account").order_by("queued_at")


def _mail(notice: Notice, at: datetime) -> Row:
    return (
        notice.queued_at,
        Link(notice.kind, reverse("admin:accounts_notice_change", args=[notice.pk])),
        Link(notice.account.name, account_url(notice.account_id)) if notice.account else None,
        str(notice.account_id or ""),
        notice.attempts,
        notice.next_attempt_at,
        notice.last_error,
    )


def _margins() -> Chart:
    return Chart(
        name="purge-margins",
        title=_("Deadline margins of purges"),
        definition=_(
            "Of the purges proven in the last 13 weeks, how much time was left to the deadline at the proof; "
            "those repeated after a restore are not counted."
        ),
        place=FigurePlace.DEADLINES,
        columns=(
            Column("hours_left", _("time left")),
            Column("purges", _("purges")),
        ),
        count=margins,
        say=_say_margins,
        draw=_draw_margins,
    )


def margins(at: datetime) -> list[Row]:
    """How many purges were proven with so much time left, from "missed" to more than a week."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_MARGINS, {"borders": list(MARGINS), "begin": figures.window(at), "at": at})
        found = dict(cursor.fetchall())
    return [(choice, found.get(number, 0)) for number, choice in enumerate(_classes())]


def _classes() -> list[Choice]:
    """The classes of margins: a code in hours for the sheet, words for the page."""
    between = [
        Choice(f"{low}-{high}", f"{low}–{high} h" if high <= 24 else gettext("1–7 days"))
        for low, high in pairwise(MARGINS)
    ]
    return [Choice("missed", _("missed")), *between, Choice(f"{MARGINS[-1]}+", _("over 7 days"))]


def _say_margins(rows: Sequence[Row]) -> str | None:
    counts = [int(str(row[1])) for row in rows]
    if not sum(counts):
        return None
    return ngettext(
        "%(missed)d of %(all)d purge missed its deadline.",
        "%(missed)d of %(all)d purges missed their deadlines.",
        sum(counts),
    ) % {"missed": counts[0], "all": sum(counts)}


def _draw_margins(chart: Chart, rows: Sequence[Row], said: str) -> SafeString:
    bars = []
    for row in rows:
        choice, count = row
        assert isinstance(choice, Choice)
        assert isinstance(count, int)
        bars.append(svg_charts.Bar(choice.label, count, str(count) if count else "", is_bad=choice.code == "missed"))
    return svg_charts.columns(svg_charts.ChartWords(chart.name, chart.title, said), bars, every_label=True)


FIGURES = (
    _purges(),
    _requests(),
    _mails(),
    _margins(),
)
