"""Time passes only here: each thing happens at its own second, in order, with the clock standing there."""

import heapq
from datetime import datetime, timedelta

from tests.fakes.stripe.payments import in_seconds
from tests.fakes.stripe.selling import Selling
from tests.fakes.stripe.state import DAY, HOUR


class Clock(Selling):
    def advance(
        self, to: datetime | int | None = None, *, days: float = 0, hours: float = 0, seconds: float = 0
    ) -> None:
        """Lets all happen that is due until then (a moment, or so long from now)."""
        with self.lock:
            span = int(timedelta(days=days, hours=hours, seconds=seconds).total_seconds())
            moment = in_seconds(to) or self._now + span
            if moment < self._now:
                raise ValueError("Time goes forward")
            while self._due and self._due[0][0] <= moment:
                due, _, what, id = heapq.heappop(self._due)
                self._now = max(self._now, due)
                getattr(self, what)(id)
            self._now = moment


__all__ = ["DAY", "HOUR", "Clock"]
