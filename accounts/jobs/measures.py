"""What operators watch over time, read from rows when it is asked for: right with any number of processes.

Prometheus asks at `/metrics`. Of each kind of due work how much waits, how much of it is late and how old the oldest
is; of each sweep and each queue when it last finished; of each invariant how many rows break it; and how much time is
left until the nearest deadlines. Labels are names of kinds, never ids: they are few, and tell of nobody.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db.models import Count, Min, Q
from prometheus_client.core import GaugeMetricFamily

from accounts.core.registry import Registry
from accounts.jobs import invariants, queues, surroundings, sweeps
from accounts.jobs.due_work import DueWorkQuerySet, Retried
from accounts.jobs.sweeps import SweepRun


@dataclass(frozen=True)
class Deadline:
    """A promise with a date: the earliest one that is still open at an instant, or None. Declared by each app."""

    name: str
    next_at: Callable[[datetime], datetime | None]


REGISTRY: Registry[Deadline] = Registry()


def families(at: datetime) -> Iterator[GaugeMetricFamily]:
    """Everything, as of `at`."""
    yield from _due_work(at)
    yield from _sweeps()
    yield from _violations(at)
    yield _deadlines(at)


def kinds_of_work() -> list[type[Retried]]:
    """Every model whose rows are due work, whichever app has it."""
    return [model for model in apps.get_models() if issubclass(model, Retried)]


def _due_work(at: datetime) -> Iterable[GaugeMetricFamily]:
    def family(name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"offboard_work_{name}", text, labels=["work"])

    pending = family("pending", "Rows of which something is still to be done, now or later.")
    due = family("due", "Rows that a worker would take up now.")
    failing = family("failing", "Rows whose last attempt failed, and that are tried again.")
    overdue = family("overdue", "Rows that have waited for so long that somebody should look.")
    oldest = family("oldest_seconds", "Age of the oldest row that is due, 0 if none is.")
    for model in kinds_of_work():
        kind = [model._meta.label_lower]
        rows: DueWorkQuerySet[Retried] = model._default_manager.all()  # type: ignore[assignment]  # each has this one
        found = rows.pending().aggregate(all=Count("pk"), failing=Count("pk", filter=Q(**{f"{model.ATTEMPTS}__gt": 0})))
        now = rows.due(at).aggregate(all=Count("pk"), since=Min(model.DUE_AT))
        pending.add_metric(kind, found["all"])
        failing.add_metric(kind, found["failing"])
        due.add_metric(kind, now["all"])
        overdue.add_metric(kind, rows.overdue(at).count())
        oldest.add_metric(kind, max((at - now["since"]).total_seconds(), 0) if now["since"] else 0)
    return pending, due, failing, overdue, oldest


def _sweeps() -> Iterable[GaugeMetricFamily]:
    finished = GaugeMetricFamily(
        "offboard_sweep_finished_timestamp_seconds", "When a sweep last finished.", labels=["sweep", "queue"]
    )
    failed = GaugeMetricFamily("offboard_sweep_failed", "1 if the last run of a sweep failed.", labels=["sweep"])
    runs = {run.name: run for run in SweepRun.objects.all()}
    for sweep in sweeps.registered():
        if run := runs.get(sweep.name):
            failed.add_metric([sweep.name], int(bool(run.last_error)))
            if run.finished_at:
                finished.add_metric([sweep.name, sweep.queue.value], run.finished_at.timestamp())
    heard = GaugeMetricFamily(
        "offboard_queue_finished_timestamp_seconds",
        "When a worker of a queue last finished anything.",
        labels=["queue"],
    )
    for queue in queues.Queue:
        if last := surroundings.last_finished(queue):
            heard.add_metric([queue.value], last.timestamp())
    return finished, failed, heard


def _violations(at: datetime) -> Iterable[GaugeMetricFamily]:
    red = GaugeMetricFamily("offboard_problems", "What `/readyz/` and `doctor` complain of.", labels=["name"])
    yellow = GaugeMetricFamily("offboard_warnings", "What staff should look at.", labels=["name"])
    for family, found in ((red, invariants.violations(at)), (yellow, invariants.warnings(at))):
        counts: dict[str, int] = {}
        for violation in found:
            counts[violation.name] = counts.get(violation.name, 0) + violation.count
        for name, count in counts.items():
            family.add_metric([name], count)
    return red, yellow


def _deadlines(at: datetime) -> GaugeMetricFamily:
    margin = GaugeMetricFamily(
        "offboard_deadline_margin_seconds",
        "Time until the nearest deadline that is still to be met; negative once it is missed.",
        labels=["promise"],
    )
    for deadline in REGISTRY.all():
        if next_at := deadline.next_at(at):
            margin.add_metric([deadline.name], (next_at - at).total_seconds())
    return margin
