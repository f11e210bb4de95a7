"""Cycles are arithmetic on an anchor: they never drift, and never end before what was paid for."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.cycles import Cycle, cycle_at

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Apia")]

anchors = st.datetimes(datetime(2015, 1, 1), datetime(2035, 12, 31), timezones=st.sampled_from(ZONES))  # noqa: DTZ001  # the zone is given beside
later = st.timedeltas(timedelta(0), timedelta(days=365 * 12))
intervals = st.sampled_from([1, 12])


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("anchor", "months", "at", "start", "end"),
    [
        # The 31st ends February on its last day, and returns to the 31st.
        (utc(2026, 1, 31), 1, utc(2026, 2, 10), utc(2026, 1, 31), utc(2026, 2, 28)),
        (utc(2026, 1, 31), 1, utc(2026, 2, 28), utc(2026, 2, 28), utc(2026, 3, 31)),
        (utc(2026, 1, 31), 1, utc(2026, 4, 30), utc(2026, 4, 30), utc(2026, 5, 31)),
        # A leap day comes back in leap years.
        (utc(2024, 2, 29), 12, utc(2025, 3, 1), utc(2025, 2, 28), utc(2026, 2, 28)),
        (utc(2024, 2, 29), 12, utc(2028, 2, 29), utc(2028, 2, 29), utc(2029, 2, 28)),
        # The boundary belongs to the cycle that it begins.
        (utc(2026, 3, 17, 9, 30), 1, utc(2026, 4, 17, 9, 30), utc(2026, 4, 17, 9, 30), utc(2026, 5, 17, 9, 30)),
    ],
)
def test_months_are_counted_from_the_anchor(
    anchor: datetime, months: int, at: datetime, start: datetime, end: datetime
) -> None:
    assert cycle_at(anchor, months, at) == Cycle(start, end)


def test_no_cycle_contains_an_instant_before_the_anchor() -> None:
    with pytest.raises(ValueError, match="first begins at 2026-03-17"):
        cycle_at(utc(2026, 3, 17), 1, utc(2026, 3, 16))


@given(anchors, intervals, later)
def test_a_cycle_contains_the_instant_it_was_asked_for(anchor: datetime, months: int, after: timedelta) -> None:
    at = anchor.astimezone(UTC) + after
    cycle = cycle_at(anchor, months, at)
    assert cycle.start <= at < cycle.end


@given(anchors, intervals, later)
def test_cycles_join_without_gap_or_overlap(anchor: datetime, months: int, after: timedelta) -> None:
    cycle = cycle_at(anchor, months, anchor.astimezone(UTC) + after)
    assert cycle_at(anchor, months, cycle.end).start == cycle.end
    if cycle.start > anchor:
        assert cycle_at(anchor, months, cycle.start - timedelta(microseconds=1)).end == cycle.start


@given(anchors, intervals, later)
def test_cycles_never_drift_from_the_day_of_the_anchor(anchor: datetime, months: int, after: timedelta) -> None:
    anchor_utc = anchor.astimezone(UTC)
    start = cycle_at(anchor, months, anchor_utc + after).start
    last_day = (start.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    assert start.day == min(anchor_utc.day, last_day.day)
    assert start.timetz() == anchor_utc.timetz()


@given(anchors, intervals, later, st.sampled_from(ZONES))
def test_the_zone_that_an_instant_is_written_in_changes_nothing(
    anchor: datetime, months: int, after: timedelta, zone: ZoneInfo
) -> None:
    at = anchor.astimezone(UTC) + after
    assert cycle_at(anchor.astimezone(zone), months, at.astimezone(zone)) == cycle_at(anchor, months, at)
