"""What an import, or its dry run, adds up to: to be compared with what the old system says."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from subscriptions.imports.importer import Outcome, Reported

#: Refused rows shown one by one; the report has all of them.
MOST_SHOWN = 20


class Summary:
    """Counts of outcomes, of refusals by code, and of subscriptions by plan and the day on which their cycle ends."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self.outcomes: Counter[Outcome] = Counter()
        self.refusals: Counter[str] = Counter()
        self._turns: Counter[tuple[str, str, str]] = Counter()

    def add(self, reported: Reported) -> None:
        self.outcomes[reported.outcome] += 1
        if reported.outcome == Outcome.REFUSED:
            self.refusals[reported.code] += 1
        elif found := reported.subscription:
            if found.settled_at:
                turn = ("ended", "")
            elif found.ends_at:
                turn = ("ends", f"{found.ends_at:%Y-%m-%d}")
            else:
                turn = ("renews", f"{found.cycle(self._at).end:%Y-%m-%d}")
            self._turns[(found.plan_id, *turn)] += 1

    @property
    def rows(self) -> int:
        return self.outcomes.total()

    def totals(self) -> str:
        return ", ".join(f"{self.outcomes[outcome]} {outcome}" for outcome in Outcome)

    def lines(self) -> Iterator[str]:
        """A table of the subscriptions, and the refusals by code."""
        if self._turns:
            yield f"{'plan':20} {'what':8} {'on':12} subscriptions"
        for (plan, what, day), count in sorted(self._turns.items()):
            yield f"{plan:20} {what:8} {day:12} {count}"
        for code, count in self.refusals.most_common():
            yield f"refused, {code}: {count}"
