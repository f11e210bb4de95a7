"""What must never be true for long. One list, read by `manage.py doctor`, `/readyz/` and the staff's first page.

Each invariant counts its violations at an instant. Each app registers its own when it starts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts import sweeps
from accounts.sweeps import SweepRun

#: How many examples a violation names: enough to start looking, short enough to read.
EXAMPLES = 5


@dataclass(frozen=True)
class Violation:
    name: str
    message: str
    count: int
    examples: Sequence[str] = field(default_factory=list)

    def __str__(self) -> str:
        examples = f" ({', '.join(self.examples)})" if self.examples else ""
        return f"{self.name}: {self.count} {self.message}{examples}"


@dataclass(frozen=True)
class Invariant:
    """`violations(at)` is the set of rows that break the promise at `at`; empty when all is well."""

    name: str
    message: str | Promise
    violations: Callable[[datetime], QuerySet]  # type: ignore[type-arg]  # of any model
    #: The field that tells staff which row it is.
    example: str = "pk"
    #: Something for staff to look at, but nothing that is overdue: `/readyz/` stays green.
    warning: bool = False

    def check(self, at: datetime) -> Violation | None:
        found = self.violations(at)
        count = found.count()
        if not count:
            return None
        examples = [str(name) for name in found.order_by("pk").values_list(self.example, flat=True)[:EXAMPLES]]
        return Violation(self.name, str(self.message), count, examples)


_invariants: dict[str, Invariant] = {}


def register(invariant: Invariant) -> None:
    _invariants[invariant.name] = invariant


def registered() -> list[Invariant]:
    return list(_invariants.values())


def violations(at: datetime) -> list[Violation]:
    """Everything that is overdue or inconsistent at `at`, the heartbeat included."""
    return _found(at, warning=False) + silent_sweeps(at)


def warnings(at: datetime) -> list[Violation]:
    """What staff should look at though nothing is overdue."""
    return _found(at, warning=True)


def _found(at: datetime, *, warning: bool) -> list[Violation]:
    asked = (invariant for invariant in _invariants.values() if invariant.warning is warning)
    return [violation for invariant in asked if (violation := invariant.check(at))]


def silent_sweeps(at: datetime) -> list[Violation]:
    """Sweeps that have not finished for too long: beat or the worker is dead, or the sweep fails."""
    finished = dict(SweepRun.objects.values_list("name", "finished_at"))
    found = []
    for sweep in sweeps.registered():
        last = finished.get(sweep.name)
        if last is None:
            found.append(Violation("beat", _("sweep has never finished"), 1, [sweep.name]))
        elif at - last > sweep.late_after:
            found.append(Violation("beat", _("sweep has not finished in time"), 1, [sweep.name]))
    return found
