"""The breaker of reconciliations: when too many customers are missing from a marketplace's list, nobody is let go.

That many at once is the marketplace's trouble or ours, not theirs; staff decide.
"""

#: More than this share of our customers missing at once stops a run.
SHARE = 0.05
#: A few may leave between two runs however small the share makes them look.
FLOOR = 3


class BreakerOpen(Exception):
    """Too many customers are missing from a marketplace's list; staff decide."""


def stop_if_too_many(missing: int, *, of: int, whose: str) -> None:
    """Raise `BreakerOpen` if so many customers of the marketplace `whose` can't all have left."""
    if missing > max(FLOOR, of * SHARE):
        raise BreakerOpen(f"{missing} of {of} customers are missing from {whose}'s list; nothing was changed")
