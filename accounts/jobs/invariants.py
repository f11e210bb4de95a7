"""What must never be true for long. One list, read by `manage.py doctor`, `/readyz/` and the staff's first page.

Each invariant counts its violations at an instant. Each app declares its own (`accounts.extension`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.core.registry import Registry
from accounts.jobs import surroundings, sweeps
from accounts.jobs.sweeps import SweepRun

#: How many examples a violation names: enough to start looking, short enough to read.
EXAMPLES = 5


@dataclass(frozen=True)
class Violation:
    name: str
    message: str
    count: int
    examples: Sequence[str] = field(default_factory=list)
    #: What staff open to act on the examples, in the same order: rows of a model, by their keys.
    model: type[Model] | None = None
    keys: Sequence[object] = field(default_factory=list)
    #: Where that model's list shows just these rows, as the query of its address.
    listed_by: str = ""

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
    #: That field as people read it, where it holds a code.
    in_words: Callable[[Any], str | Promise] = str
    #: Something for staff to look at, but nothing that is overdue: `/readyz/` stays green.
    warning: bool = False
    #: The path from a row to the one that staff open to act on it; empty: the row itself.
    shown_as: str = ""
    #: The filter under which the desk's list shows these rows, as the query of its address.
    listed_by: str = ""

    def check(self, at: datetime) -> Violation | None:
        found = self.violations(at)
        count = found.count()
        if not count:
            return None
        rows = list(found.order_by("pk").values_list(self.example, self.shown_as or "pk")[:EXAMPLES])
        return Violation(
            self.name,
            str(self.message),
            count,
            examples=[str(self.in_words(name)) for name, _key in rows],
            model=found.model._meta.get_field(self.shown_as).related_model if self.shown_as else found.model,
            keys=[key for _name, key in rows],
            listed_by=self.listed_by,
        )


REGISTRY: Registry[Invariant] = Registry()


def violations(at: datetime) -> list[Violation]:
    """Everything that is overdue or inconsistent at `at`, the heartbeat and what is around the rows included."""
    return _found(at, warning=False) + silent_sweeps(at) + _surroundings(at)


def warnings(at: datetime) -> list[Violation]:
    """What staff should look at though nothing is overdue."""
    return _found(at, warning=True) + failed_sweeps()


def _found(at: datetime, *, warning: bool) -> list[Violation]:
    asked = (invariant for invariant in REGISTRY.all() if invariant.warning is warning)
    return [violation for invariant in asked if (violation := invariant.check(at))]


def _surroundings(at: datetime) -> list[Violation]:
    asked = ((surrounding.name, surrounding.check(at)) for surrounding in surroundings.REGISTRY.all())
    return [
        Violation(name, fault.message, len(fault.examples), fault.examples[:EXAMPLES]) for name, fault in asked if fault
    ]


def silent_sweeps(at: datetime) -> list[Violation]:
    """Sweeps that have not finished for too long: beat or the worker is dead, or the sweep fails."""
    finished = dict(SweepRun.objects.values_list("name", "finished_at"))
    found = []
    for sweep in sweeps.registered():
        last = finished.get(sweep.name)
        if last is None:
            found.append(_silent(_("sweep has never finished"), sweep.name, ran=sweep.name in finished))
        elif at - last > sweep.late_after:
            found.append(_silent(_("sweep has not finished in time"), sweep.name, ran=True))
    return found


def failed_sweeps() -> list[Violation]:
    """Sweeps whose last run failed as a whole: a marketplace that can't be asked, a breaker that opened."""
    failed = list(SweepRun.objects.exclude(last_error="").order_by("name"))
    if not failed:
        return []
    examples = [f"{run.name}: {run.last_error}" for run in failed[:EXAMPLES]]
    keys = [run.pk for run in failed[:EXAMPLES]]
    return [Violation("sweep-failed", _("sweeps failed the last time"), len(failed), examples, SweepRun, keys)]


def _silent(message: str, name: str, *, ran: bool) -> Violation:
    return Violation("beat", message, 1, [name], model=SweepRun, keys=[name] if ran else [])
