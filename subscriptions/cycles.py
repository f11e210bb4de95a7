"""Billing cycles: arithmetic on an anchor, not state.

The n-th cycle begins at the anchor plus n times the interval, counted from the anchor itself and never from the
cycle before, so nothing drifts: an anchor on the 31st ends February on its last day and returns to the 31st in March.
All of it is in UTC; a reader's zone is a matter of display.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from dateutil.relativedelta import relativedelta


@dataclass(frozen=True)
class Cycle:
    """The billing period that contains an instant: from `start` up to, not including, `end`. UTC."""

    start: datetime
    end: datetime


def cycle_at(anchor: datetime, months: int, at: datetime) -> Cycle:
    """The cycle of `months` months (1 or 12) that contains `at`. Raises `ValueError` for one before the anchor."""
    anchor, at = anchor.astimezone(UTC), at.astimezone(UTC)
    if at < anchor:
        raise ValueError(f"no cycle contains {at:%Y-%m-%d %H:%M}: the first begins at {anchor:%Y-%m-%d %H:%M}")
    number = _number(anchor, months, at)
    return Cycle(_boundary(anchor, number * months), _boundary(anchor, (number + 1) * months))


def cycles_begun(anchor: datetime, months: int, at: datetime) -> int:
    """How many cycles have begun at `at`, the one that contains it included; none before the anchor."""
    anchor, at = anchor.astimezone(UTC), at.astimezone(UTC)
    return _number(anchor, months, at) + 1 if at >= anchor else 0


def _number(anchor: datetime, months: int, at: datetime) -> int:
    """The number of the cycle that contains `at`; the first is 0."""
    elapsed = (at.year - anchor.year) * 12 + at.month - anchor.month
    number = elapsed // months
    return number - 1 if _boundary(anchor, number * months) > at else number


def _boundary(anchor: datetime, months: int) -> datetime:
    return anchor + relativedelta(months=months)
