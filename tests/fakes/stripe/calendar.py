"""When periods begin and end: the anchor's day of the month, or the month's last where it has no such day."""

import calendar as days
from datetime import UTC, datetime, timedelta

from tests.fakes.stripe.spec import Json


def boundary(anchor: int, recurring: Json, *, after: int) -> int:
    """The first end of a period that is later than this."""
    n = 0
    start = datetime.fromtimestamp(anchor, UTC)
    if after > anchor:
        # Near it, from below.
        n = max(0, int((after - anchor) / (_seconds(recurring) * 1.04)) - 1)
    while (end := int(_add(start, recurring, n).timestamp())) <= after:
        n += 1
    return end


def before(anchor: int, recurring: Json, *, end: int) -> int:
    """Where the period begins that ends then."""
    start, n = datetime.fromtimestamp(anchor, UTC), 0
    while int(_add(start, recurring, n).timestamp()) < end:
        n += 1
    return int(_add(start, recurring, n - 1).timestamp())


def _seconds(recurring: Json) -> int:
    unit = {"day": 1, "week": 7, "month": 30, "year": 365}[recurring["interval"]]
    return int(unit * recurring["interval_count"] * 86_400)


def _add(start: datetime, recurring: Json, n: int) -> datetime:
    count = recurring["interval_count"] * n
    if recurring["interval"] in ("day", "week"):
        return start + timedelta(days=count * (7 if recurring["interval"] == "week" else 1))
    months = start.year * 12 + start.month - 1 + count * (12 if recurring["interval"] == "year" else 1)
    year, month = divmod(months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, days.monthrange(year, month + 1)[1]))
