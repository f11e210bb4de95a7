"""Charts, drawn as SVG on the server: no script, no style attribute, nothing that a strict policy would refuse.

Colours are classes (`static/charts.css`) and follow the admin's light and dark. Nothing is told by colour alone: the
parts of a bar carry patterns and a legend, every bar carries its number, and the table beside a chart has them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, log

from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

#: The drawing's own units; the page scales it to the room there is.
WIDTH = 640
#: Room at the left for the numbers of the axis, and at the right so that the last label is not cut off.
LEFT, RIGHT = 36, 12
TOP, PLOT, FOOT = 22, 168, 26
#: A row of a horizontal chart: the words, and the bar below them.
ROW, BAR = 42, 14
#: Part of a column's room that its bar takes.
FULLNESS = 0.68
#: Width of a letter of a legend, roughly.
LETTER = 6.6
#: Series have patterns for so many; then they begin again.
PATTERNS = 4


@dataclass(frozen=True)
class ChartWords:
    """What a chart is called, and what it says, for those who hear it. `name` makes its ids unique on the page."""

    name: str
    title: str | Promise
    description: str


@dataclass(frozen=True)
class Series:
    """One part of every bar."""

    label: str | Promise
    values: Sequence[int]


@dataclass(frozen=True)
class Bar:
    """One bar with the text that tells its number. `is_bad`: marked as what should not be."""

    label: str | Promise
    value: float
    text: str
    is_bad: bool = False


@dataclass(frozen=True)
class Span:
    """How long something takes: usually, and at worst but for one in ten."""

    label: str | Promise
    median: timedelta
    ninety: timedelta
    text: str


def stacked(words: ChartWords, labels: Sequence[str], series: Sequence[Series]) -> SafeString:
    """A column for each label, made of one part for each series that has any, with the column's sum above it."""
    shown = [(number, part) for number, part in enumerate(series) if any(part.values)]
    sums = [sum(part.values[column] for _number, part in shown) for column in range(len(labels))]
    highest = _round_up(max(sums, default=0))
    drawn = [_axis(highest)]
    for column, label in enumerate(labels):
        left, width = _column(column, len(labels))
        below = 0
        for number, part in shown:
            value = part.values[column]
            if not value:
                continue
            top, height = _y(below + value, highest), _y(below, highest) - _y(below + value, highest)
            below += value
            drawn.append(_part(words.name, number, left, top, width, height, f"{label}, {part.label}: {value}"))
        if sums[column]:
            drawn.append(_text(left + width / 2, _y(below, highest) - 5, str(sums[column]), "chart-number", "middle"))
        drawn.append(_foot(label, column, len(labels)))
    legend, height = _legend(words.name, shown, TOP + PLOT + FOOT + 14)
    return _svg(words, height, _patterns(words.name), _join(drawn), legend)


def columns(
    words: ChartWords, bars: Sequence[Bar], *, highest: float | None = None, every_label: bool = False
) -> SafeString:
    """A column for each bar. `highest`: where the axis ends, if that is known beforehand."""
    top = _round_up(max((bar.value for bar in bars), default=0)) if highest is None else highest
    drawn = [_axis(top)]
    for column, bar in enumerate(bars):
        left, width = _column(column, len(bars))
        height = TOP + PLOT - _y(bar.value, top)
        if bar.value:
            kind = 0 if not bar.is_bad else None
            told = f"{bar.label}: {bar.text}"
            drawn.append(_part(words.name, kind, left, _y(bar.value, top), width, height, told))
        if bar.text:
            drawn.append(_text(left + width / 2, _y(bar.value, top) - 5, bar.text, "chart-number", "middle"))
        drawn.append(_foot(str(bar.label), column, len(bars), always=every_label))
    return _svg(words, TOP + PLOT + FOOT, _patterns(words.name), _join(drawn))


def rows(words: ChartWords, bars: Sequence[Bar]) -> SafeString:
    """A horizontal bar for each, its words above it, however long they are."""
    longest = max((bar.value for bar in bars), default=0) or 1
    room = WIDTH - RIGHT
    drawn = []
    for row, bar in enumerate(bars):
        top = row * ROW
        drawn.append(_text(0, top + 14, str(bar.label), "chart-label"))
        drawn.append(_text(room, top + 14, bar.text, "chart-number", "end"))
        drawn.append(_rect("chart-track", 0, top + 20, room, BAR))
        told = f"{bar.label}: {bar.text}"
        drawn.append(_part(words.name, 0, 0, top + 20, max(room * bar.value / longest, 2), BAR, told))
    return _svg(words, len(bars) * ROW, _patterns(words.name), _join(drawn))


#: Where the lines of a scale of durations stand; a month is the end of it.
TICKS = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=30))


def spans(words: ChartWords, found: Sequence[Span], ticks: Sequence[str]) -> SafeString:
    """A bar up to what nine in ten stay below, and a mark at the median, on a scale that has room for both a minute
    and a month: each step of it is many times the one before. `ticks` are the words for `TICKS`."""
    bottom = len(found) * ROW + 4
    drawn = []
    for tick, label in zip(TICKS, ticks, strict=True):
        place = _along(tick)
        drawn.append(format_html('<line class="chart-grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/>', _n(place), bottom))
        drawn.append(_text(place, bottom + 16, label, "chart-label", "end" if tick == TICKS[-1] else "middle"))
    for row, span in enumerate(found):
        top = row * ROW
        told = f"{span.label}: {span.text}"
        drawn.append(_text(0, top + 14, str(span.label), "chart-label"))
        drawn.append(_text(WIDTH - RIGHT, top + 14, span.text, "chart-number", "end"))
        drawn.append(_rect("chart-track", 0, top + 20, WIDTH - RIGHT, BAR))
        drawn.append(_part(words.name, 0, 0, top + 20, max(_along(span.ninety), 2), BAR, told))
        middle = _n(max(_along(span.median), 1.5))
        drawn.append(
            format_html(
                '<line class="chart-median" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', middle, top + 17, top + 23 + BAR
            )
        )
    return _svg(words, bottom + FOOT, _patterns(words.name), _join(drawn))


def _along(duration: timedelta) -> float:
    """Where a duration stands on the scale: logarithmic from a second, so that "at once" is at its beginning."""
    seconds = max(duration.total_seconds(), 1)
    return min(log(seconds) / log(TICKS[-1].total_seconds()), 1) * (WIDTH - RIGHT)


def _svg(words: ChartWords, height: float, *parts: SafeString) -> SafeString:
    return format_html(
        '<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="{name}-title {name}-description"><title id="{name}-title">{title}</title>'
        '<desc id="{name}-description">{description}</desc>{body}</svg>',
        width=WIDTH,
        height=_n(height),
        name=words.name,
        title=words.title,
        description=words.description,
        body=_join(parts),
    )


def _patterns(name: str) -> SafeString:
    """What tells the parts apart without colour: plain, stripes, dots, stripes the other way; and what is bad."""
    lines = {
        1: "M-2 2 L2 -2 M0 8 L8 0 M6 10 L10 6",
        2: "M2 2 h2 v2 h-2 z M6 6 h2 v2 h-2 z",
        3: "M-2 6 L2 10 M0 0 L8 8 M6 -2 L10 2",
    }
    marks = format_html_join(
        "",
        '<pattern id="{0}-pattern-{1}" width="8" height="8" patternUnits="userSpaceOnUse">'
        '<path class="chart-pattern" d="{2}"/></pattern>',
        ((name, number, path) for number, path in lines.items()),
    )
    return format_html("<defs>{}</defs>", marks)


def _part(name: str, number: int | None, left: float, top: float, width: float, height: float, told: str) -> SafeString:
    """Part of a bar. What is told of it shows when it is pointed at. None: what should not be."""
    kind = "chart-bad" if number is None else f"chart-series-{number % PATTERNS + 1}"
    pattern = 1 if number is None else number % PATTERNS
    over = _rect("", left, top, width, height, fill=f"url(#{name}-pattern-{pattern})") if pattern else SafeString("")
    shape = _rect(kind, left, top, width, height)
    return format_html("<g><title>{}</title>{}{}</g>", told, shape, over)


def _rect(kind: str, left: float, top: float, width: float, height: float, *, fill: str = "") -> SafeString:
    look = format_html('fill="{}"', fill) if fill else format_html('class="{}"', kind)
    return format_html(
        '<rect {} x="{}" y="{}" width="{}" height="{}"/>', look, _n(left), _n(top), _n(width), _n(height)
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> SafeString:
    return format_html('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>', kind, _n(x), _n(y), anchor, text)


def _axis(highest: float) -> SafeString:
    """Lines at nothing, half and all, with their numbers."""
    values = sorted({0, highest / 2, highest} if highest != 1 else {0, highest})
    return format_html_join(
        "",
        '<line class="chart-grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
        '<text class="chart-label" x="{3}" y="{4}" text-anchor="end">{5}</text>',
        (
            (LEFT, WIDTH - RIGHT, _n(_y(value, highest)), LEFT - 6, _n(_y(value, highest) + 4), _n(value))
            for value in values
        ),
    )


def _foot(label: str, column: int, count: int, *, always: bool = False) -> SafeString:
    """The label below a column: every second one where there are many, the last one always."""
    if not always and (count - 1 - column) % 2:
        return SafeString("")
    left, width = _column(column, count)
    return _text(left + width / 2, TOP + PLOT + 17, label, "chart-label", "middle")


def _legend(name: str, shown: Sequence[tuple[int, Series]], top: float) -> tuple[SafeString, float]:
    """What the parts mean, in as many lines as it takes, and where that ends."""
    drawn = []
    left = float(LEFT)
    for number, part in shown:
        label = str(part.label)
        width = 18 + len(label) * LETTER + 18
        if left + width > WIDTH and left > LEFT:
            left, top = float(LEFT), top + 20
        drawn.append(_part(name, number, left, top - 10, 12, 12, label))
        drawn.append(_text(left + 18, top, label, "chart-label"))
        left += width
    return _join(drawn), top + 8


def _column(column: int, count: int) -> tuple[float, float]:
    """Left edge and width of a column's bar."""
    room = (WIDTH - LEFT - RIGHT) / count
    return LEFT + room * (column + (1 - FULLNESS) / 2), room * FULLNESS


def _y(value: float, highest: float) -> float:
    return TOP + PLOT - PLOT * value / (highest or 1)


def _round_up(value: float) -> int:
    """The end of an axis: the next number that reads well and can be halved."""
    if value <= 1:
        return 1
    size = 10 ** (len(str(ceil(value))) - 1)
    steps = [step * size for step in (1, 2, 4, 6, 8, 10)] if size > 1 else [2, 4, 6, 8, 10]
    return int(next(step for step in steps if step >= value))


def _n(value: float) -> str:
    """A number as short as it can be written."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _join(parts: Sequence[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))
