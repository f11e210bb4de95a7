"""How a figure's values stand on a page."""

from datetime import date, datetime, timedelta

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.core.formats import calendar_day, duration, local_time, moment, number
from accounts.desk.dashboard.figures import Choice, Column, Figure, FigureProgress, Link, Row, Value

register = template.Library()

#: Longer texts are cut on the page; the sheet has all of them.
LONGEST = 160


@register.filter
def shown(row: Row, figure: Figure) -> list[Value]:
    """The values that the page shows of a row; the sheet has more."""
    return [value for value, column in zip(row, figure.columns, strict=True) if not column.sheet_only]


@register.filter
def headings(figure: Figure) -> list[Column]:
    return [column for column in figure.columns if not column.sheet_only]


@register.simple_tag
def cell(value: Value) -> SafeString | str:
    """A value for people: escaped, linked, in their language and time zone."""
    match value:
        case None | "":
            return format_html('<span class="figure-none" aria-label="{}">–</span>', _("none"))
        case Link(text, url):
            return format_html('<a href="{}">{}</a>', url, text)
        case Choice(_code, label):
            return str(label)
        case FigureProgress(done, of):
            told = _("%(done)s of %(of)s") % {"done": done, "of": of}
            return format_html('<progress value="{0}" max="{1}" aria-label="{2}"></progress> {2}', done, of, told)
        case datetime():
            return _instant(value)
        case date():
            return calendar_day(value)
        case timedelta():
            return duration(value)
        case int() | float():
            return number(value)
    text = value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
    return format_html('<span class="figure-text">{}</span>', text)


def _instant(value: datetime) -> SafeString:
    """Short, for a table: day and time; the whole of it is told to those who point at it."""
    local = local_time(value)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        value.strftime("%Y-%m-%dT%H:%M:%S%z"),
        moment(value),
        local.strftime("%Y-%m-%d %H:%M"),
    )
