"""Figures: what the desk's first page counts, lists and draws, and what each app adds to it.

A figure has a name, which stands in the address of its sheet (`/admin/figures/NAME.csv`), one sentence that says what
is counted, and columns. A *listing* is rows that wait for somebody; a *chart* is numbers over the last thirteen weeks.
Each takes a small, fixed number of statements over a bounded window of an index, whatever the tables hold.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import IntEnum
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from accounts.core.registry import Registry

#: A quarter: long enough to see a trend, short enough to be counted while somebody waits.
WEEKS = 13
#: Rows of a listing on the page; the sheet has all of them.
EXCERPT = 10
#: Counted no further than this: "more than a thousand" says enough.
COUNTED = 1000


class FigurePlace(IntEnum):
    """Where on the page a figure stands. Within a place, in the order of registration."""

    ALARMS = 1
    AT_RISK = 2
    ENDS = 3
    LEAVING = 4
    DEADLINES = 5


@dataclass(frozen=True)
class Column:
    """`code` heads the column in a sheet, for machines; `label` on the page, for people."""

    code: str
    label: str | Promise
    #: Only in the sheet: an id that the page has as a link.
    sheet_only: bool = False


@dataclass(frozen=True)
class Link:
    """A text that leads to where staff act."""

    text: str
    url: str


@dataclass(frozen=True)
class Choice:
    """One of several: a word for people, a code for the sheet."""

    code: str
    label: str | Promise


@dataclass(frozen=True)
class FigureProgress:
    done: int
    of: int


Value = str | int | float | date | datetime | timedelta | Link | Choice | FigureProgress | None
Row = tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What every figure has. `definition` is one sentence: what is counted, and what is not."""

    name: str
    title: str | Promise
    definition: str | Promise
    columns: tuple[Column, ...]
    place: FigurePlace

    def rows(self, at: datetime, zone: tzinfo) -> Iterable[Row]:
        """All rows as of `at`, for the sheet; days begin and end in `zone`."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Listing(Figure):
    """Rows that staff should look at, the most urgent first. `find` gives them, `row` says what is shown of one."""

    find: Callable[[datetime, tzinfo], "QuerySet[Any, Any]"]
    row: Callable[[Any, datetime], Row]
    #: Said when there are none.
    empty: str | Promise

    def rows(self, at: datetime, zone: tzinfo) -> Iterator[Row]:
        for found in self.find(at, zone).iterator(chunk_size=1000):
            yield self.row(found, at)

    def excerpt(self, at: datetime, zone: tzinfo) -> "Excerpt":
        """The first rows, and how many more there are. Two statements."""
        found = self.find(at, zone)
        rows = [self.row(row, at) for row in found[:EXCERPT]]
        count = found.order_by()[: COUNTED + 1].count()
        return Excerpt(rows, more=max(0, min(count, COUNTED) - len(rows)), is_cut_off=count > COUNTED)


@dataclass(frozen=True)
class Excerpt:
    """`more` rows are not shown; with `is_cut_off` even more than that."""

    rows: list[Row]
    more: int
    is_cut_off: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart(Figure):
    """Numbers: read by `read`, counted by `count`, said by `say` in one line, and drawn by `draw`.

    What several charts of a page read alike is read once. `draw` gets the chart itself (for its name, title and
    words), the rows, and the line; it is not asked when there is nothing to draw, which is when `say` is None.
    """

    count: Callable[[Any], list[Row]]
    say: Callable[[Sequence[Row]], str | None]
    draw: Callable[["Chart", Sequence[Row], str], SafeString]
    #: What `count` counts, as of an instant; the instant itself where it does its own reading.
    read: Callable[[datetime], Any] = lambda at: at

    def rows(self, at: datetime, zone: tzinfo) -> list[Row]:
        return self.count(self.read(at))


REGISTRY: Registry[Figure] = Registry()


def registered(place: FigurePlace | None = None) -> list[Figure]:
    """All figures, or those of a place, in the order of registration."""
    return [figure for figure in REGISTRY.all() if place in (None, figure.place)]


def named(name: str) -> Figure:
    """The figure of this name; `KeyError` if there is none."""
    return REGISTRY.named(name)


def weeks(at: datetime) -> list[date]:
    """The Mondays (UTC, so that colleagues see the same numbers) of the last weeks, that of `at` the last."""
    monday = _monday(at.astimezone(UTC).date())
    return [monday - timedelta(weeks=back) for back in reversed(range(WEEKS))]


def window(at: datetime) -> datetime:
    """The instant at which those weeks begin."""
    first = weeks(at)[0]
    return datetime(first.year, first.month, first.day, tzinfo=UTC)


def today(at: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Begin and end of the reader's day, which may have 23 or 25 hours."""
    day = at.astimezone(zone).date()
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def this_week(at: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Begin and end of the reader's week, from Monday to Monday."""
    monday = _monday(at.astimezone(zone).date())
    return _midnight(monday, zone), _midnight(monday + timedelta(weeks=1), zone)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)
