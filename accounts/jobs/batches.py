"""Due work that is one statement for thousands of rows: settling, reminding, forgetting.

As in `accounts.jobs.due_work` the row owns its failure: a batch that the database refuses is made smaller until the row
that is to blame stands alone.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import DataError, IntegrityError, models, transaction

from accounts.core.errors import describe

log = logging.getLogger(__name__)

#: Rows that failed by themselves before are tried again, so many in a run.
MOST_BLAMED = 100


class RowsFailed(Exception):
    """Of a batch the others are done; these rows are not, and have no field to say why."""


def run_batches(
    due: "models.QuerySet[Any]",
    work: "Callable[[models.QuerySet[Any], int], int]",
    *,
    batch: int,
    run: timedelta,
    noted: bool = True,
) -> int:
    """Work on all rows that are due, up to `batch` at a time, for about `run`. Returns how many were done.

    For what is the same statement for thousands of rows. `work` takes the first so many of the rows that it is given,
    in a transaction of its own, and says how many that were. A batch that fails is made smaller until the row that is
    to blame stands alone; the others go on. Its `last_error` says what is wrong with it, and from then on it is tried
    by itself. Rows without such a field are not `noted`: `RowsFailed` names them in the end, with all others done.
    """
    done, size = 0, batch
    failed: dict[object, str] = {}
    stop = time.monotonic() + run.total_seconds()
    well = due.filter(last_error="") if noted else due
    while time.monotonic() < stop:
        first = well.values_list("pk", flat=True).first() if size == 1 else None
        if size == 1 and first is None:
            break
        try:
            worked = work(well if first is None else due.filter(pk=first), size)
        except Exception as error:
            # Whatever it was: a smaller batch finds the row that it comes from, which is noted and passed over.
            if first is not None:
                failed[first] = _blame(due, first, error, noted=noted)
                well = well.exclude(pk=first)
            size = max(size // 10, 1)
            continue
        if not worked and first is None:
            break
        if not worked:
            # Somebody else holds it: the next run's, and not in the way of the others.
            well = well.exclude(pk=first)
        done += worked
        size = min(size * 10, batch)
    if noted:
        return done + _try_again(due, work, stop, but=failed)
    if failed:
        raise RowsFailed("; ".join(f"{due.model._meta.label} {pk}: {why}" for pk, why in failed.items()))
    return done


def _try_again(
    due: "models.QuerySet[Any]",
    work: "Callable[[models.QuerySet[Any], int], int]",
    stop: float,
    *,
    but: "dict[object, str]",
) -> int:
    """Each row by itself that failed in an earlier run."""
    done = 0
    for pk in list(due.exclude(last_error="").values_list("pk", flat=True)[:MOST_BLAMED]):
        if time.monotonic() >= stop:
            break
        if pk in but:
            continue
        try:
            done += work(due.filter(pk=pk), 1)
        except Exception as error:
            # Still the same, or something new: the row says which.
            _blame(due, pk, error, noted=True)
    return done


def _blame(due: "models.QuerySet[Any]", pk: object, error: Exception, *, noted: bool) -> str:
    """Note on a row of a batch what is wrong with it. Raises only what is the trouble of the database."""
    why = describe(error)
    log.error("%s %s failed: %s", due.model._meta.label, pk, why)
    try:
        with transaction.atomic():
            if noted:
                due.model._base_manager.filter(pk=pk).update(last_error=why)
    except (IntegrityError, DataError):
        log.exception("%s %s could not note its failure", due.model._meta.label, pk)
    return why
