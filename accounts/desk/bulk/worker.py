"""The worker's side of bulk runs: the `bulk` sweep.

One row at a time, in one transaction: the row is locked, skipped where another worker holds it, rehearsed or
performed, and how that went is noted. Rows of all runs take turns with what is to be rehearsed, so that neither a
large preview nor a large run keeps others waiting.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Literal

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.desk.actions.action import Act, rehearse
from accounts.desk.bulk.run import FRESH, BulkItem, BulkRun, act_of, cancel
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import Turn, take_turn
from accounts.jobs.queues import Queue

#: A run of the sweep ends after this long; the next one goes on, and others get their turn in between.
RUN = timedelta(seconds=20)
#: A run that is not finished, or not rehearsed, after this long is shown; all attempts of a row take a quarter of it.
OVERDUE = timedelta(hours=1)
#: Previews and outcomes are kept for so long; what was done stays in the history and the staff actions.
KEPT = timedelta(days=90)


def preview(at: datetime) -> Iterator[str]:
    """What `work_through` would carry out at `at`, a line each."""
    for item in BulkItem.objects.due(at).select_related("run").iterator():
        yield f"{item.account_id or '-'} {item.name}: {item.run.act} (bulk run {item.run_id})"


def work_through(at: datetime) -> int:
    """Carry out what is confirmed, and rehearse what is new, as long as the run lasts. Returns how many rows."""
    handled = 0
    may_go_on = sweeps.until(RUN)
    while may_go_on():
        answers = [_carry_out_next(at), _rehearse_next(at)]
        if answers == [None, None]:
            break
        handled += sum(answer is not None for answer in answers)
    _close(at)
    return handled


def _carry_out_next(at: datetime) -> "bool | Literal[Turn.MORE] | None":
    """Perform the first due row that nobody else holds, and note how it went. None if there was none."""
    return take_turn(BulkItem.objects.select_related("run").due, _perform, at=at, turn=at, held=True)


def _rehearse_next(at: datetime) -> "bool | Literal[Turn.MORE] | None":
    """Rehearse the first row that nobody else holds. None if there was none."""
    return take_turn(BulkItem.objects.select_related("run").to_rehearse, _rehearse, at=at, turn=at, held=True)


def _rehearse(item: BulkItem, at: datetime) -> bool:
    try:
        with transaction.atomic(), _on_behalf_of(item.run) as (act, by):
            row, values = _row_of(item, act)
            rehearsal = rehearse(act, row, values, by=by, at=at)
            item.would_say, item.would_write = rehearsal.said, rehearsal.lines
    except Refused as refusal:
        item.refused_at, item.outcome = at, str(refusal)
    item.rehearsed_at = at
    item.save()
    return True


def _perform(item: BulkItem, at: datetime) -> bool:
    try:
        # A savepoint: what the act did before it was refused is undone.
        with transaction.atomic(), _on_behalf_of(item.run) as (act, by):
            row, values = _row_of(item, act)
            item.outcome = act.perform(row, values, by=by, at=at)
        item.done_at, item.last_error = at, ""
    except Refused as refusal:
        item.refused_at, item.outcome = at, str(refusal)
    item.save()
    return True


@contextmanager
def _on_behalf_of(run: BulkRun) -> Iterator[tuple[Act, Actor]]:
    """What is to be done, and on whose word; what is said meanwhile is said in that person's language and time zone.

    Raises `Refused` if the person has lost the right since: then nothing more is done on their word.
    """
    act = act_of(run)
    if act is None:
        raise Refused(gettext("This is no longer offered."))
    if run.values is None:
        raise Refused(gettext("An account of this run has been erased, and its texts with it. Please begin anew."))
    person = User.objects.filter(pk=run.by_id).first()
    if person is None or not (person.is_active and person.is_staff and person.has_perm(act.permission)):
        raise Refused(gettext("Who began this may no longer do it."))
    with translation.override(person.mail_language), timezone.override(person.zone):
        yield act, Actor.staff(person)


def _row_of(item: BulkItem, act: Act) -> tuple[object, dict[str, object]]:
    """The row as it is now, and what the act's form makes of the values for it. Raises `Refused`."""
    row = act.model._default_manager.filter(pk=item.target_id).first()
    if row is None:
        raise Refused(gettext("It is no longer there."))
    form = act.form(item.run.values, row=row)
    if not form.is_valid():
        raise Refused(" ".join(str(error) for errors in form.errors.values() for error in errors))
    return row, form.cleaned_data


def _close(at: datetime) -> None:
    """Say of each run how far it has come; cancel previews that nobody wanted; forget what is old."""
    unrehearsed = BulkItem.objects.unrehearsed().filter(run=OuterRef("pk"))
    BulkRun.objects.open().filter(~Exists(unrehearsed), rehearsed_at=None).update(rehearsed_at=at)
    for run in BulkRun.objects.open().filter(confirmed_at=None, rehearsed_at__lt=at - FRESH):
        cancel(run, at=at)
    waiting = BulkItem.objects.open().filter(run=OuterRef("pk"))
    for pk in BulkRun.objects.open().filter(~Exists(waiting), confirmed_at__isnull=False).values_list("pk", flat=True):
        _finish(pk, at)
    for run in BulkRun.objects.filter(Q(finished_at__lt=at - KEPT) | Q(cancelled_at__lt=at - KEPT)).order_by("pk")[:1]:
        run.delete()


def _finish(pk: int, at: datetime) -> None:
    """Checked again under the run's lock: staff may have put failed rows back in line just now."""
    with transaction.atomic():
        run = BulkRun.objects.locked().filter(pk=pk, finished_at=None, cancelled_at=None).first()
        if run and not run.items.open().exists():
            run.finished_at = at
            run.save(update_fields=["finished_at"])


SWEEP = sweeps.Sweep("bulk", run=work_through, preview=preview, late_after=timedelta(minutes=5), queue=Queue.SLOW)

INVARIANTS = (
    invariants.Invariant(
        "bulk-run",
        _("bulk runs that were begun or confirmed more than an hour ago and are still at work"),
        lambda at: BulkRun.objects.open().filter(
            Q(confirmed_at__lt=at - OVERDUE) | Q(rehearsed_at=None, created_at__lt=at - OVERDUE)
        ),
    ),
)
