"""Building data exports, and deleting those that have expired: the `export` sweep.

An archive grows by a batch a transaction, which notes how far it has come: a kill at any moment costs at most a
batch. Nothing of it is held in memory, and several exports take turns. A worker without room on its disk removes what
it has written and tries again later.
"""

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.write_guard import refuse_if_purging
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.erasure.purge import Purge
from accounts.exports import elsewhere
from accounts.exports.archive import Archive, Interrupted, Position, index_of
from accounts.exports.export import KEPT_FOR, Export
from accounts.exports.parts import Part, account_document, as_json, parts, plain, readme, schema
from accounts.jobs import due_work, invariants, sweeps
from accounts.jobs.due_work import MORE, Turn, attempt, overdue, run_due
from accounts.jobs.queues import Queue
from accounts.mail.notices import queue

#: A run of the sweep ends after this long; the next one goes on.
RUN = timedelta(minutes=1)
#: An archive that is still there so long after it expired is shown to staff.
STILL_THERE = timedelta(hours=1)


def preview(at: datetime) -> Iterator[str]:
    """Which archives `export_due` would build or delete at `at`, a line each."""
    for export in Export.objects.due(at).select_related("account").iterator():
        yield f"{export.account_id} {export.account.name}: data export asked for at {plain(export.asked_at)}"
    for export in Export.objects.expired(at).select_related("account").iterator():
        yield f"{export.account_id} {export.account.name}: data export expired at {plain(export.expires_at)}"


def export_due(at: datetime) -> int:
    """Delete what has expired at `at`, then build what is due, in turns. Returns how many were deleted or finished."""
    removed = sum(attempt(export, _remove, at) is True for export in list(Export.objects.expired(at)))
    return removed + run_due(Export.objects.due, _go_on, at=at, run=RUN, held=True)


def take_turn(at: datetime, turn: datetime) -> bool | Literal[Turn.MORE] | None:
    """Write one batch of the export whose turn it is at `turn`. Returns whether it is finished, or has more to write;
    None if there is none to build. Whatever fails is noted on its row, and tried again later.
    """
    return due_work.take_turn(Export.objects.due, _go_on, at=at, turn=turn, held=True)


def _go_on(export: Export, at: datetime) -> bool | Literal[Turn.MORE]:
    """One batch, in the caller's transaction, which holds the row. Returns whether that was the last, or `MORE`.

    Of a storage elsewhere all batches: half an archive on the disk of one worker is of no use to another one, and an
    erasing that another one carries out would not find it.
    """
    if not export.is_built_in_place:
        return _build_at_once(export, at)
    with _opened(export) as archive:
        part = next((part for part in parts() if not export.progress[part.name]["complete"]), None)
        if part is None:
            _finish(export, archive, at)
            return True
        _write_batch(export, part, archive)
        export.position = archive.save()
    export.save(update_fields=["progress", "position"])
    return MORE


def _build_at_once(export: Export, at: datetime) -> bool:
    """The whole archive, in files without a name: whatever ends this process, nothing of them is left on its disk."""
    refuse_if_purging(export.account_id)
    with TemporaryDirectory() as folder:
        archive = _begun(export, Path(folder) / "archive.part")
    with archive:
        for part in parts():
            while not export.progress[part.name]["complete"]:
                _write_batch(export, part, archive)
        _finish(export, archive, at)
    return True


def _write_batch(export: Export, part: Part, archive: Archive) -> None:
    noted = export.progress[part.name]
    batch = part.write(archive, export.account_id, noted["after"])
    noted |= {"done": noted["done"] + batch.written, "after": batch.after, "complete": batch.complete}
    # Rows may come and go meanwhile; the count never runs over.
    noted["total"] = noted["done"] if batch.complete else max(noted["total"], noted["done"])


def _opened(export: Export) -> Archive:
    """The archive where it was left; a new one if there is none, or if not all of it is there."""
    path = export.unfinished_path
    if export.position and export.progress.keys() == {part.name for part in parts()}:
        try:
            return Archive(path, Position(**export.position), dated=export.asked_at)
        except Interrupted:
            pass
    # Holds up a purge that starts just now: no file is begun that nobody would delete.
    refuse_if_purging(export.account_id)
    return _begun(export, path)


def _begun(export: Export, path: Path) -> Archive:
    """A new archive, with what every archive begins with."""
    archive = Archive.begin(path, dated=export.asked_at)
    account = export.account
    archive.add("README.txt", readme(account, export.asked_at, elsewhere.told(export.pk)).encode())
    archive.add("schema.json", as_json(schema(), indent=2))
    archive.add("account.json", as_json(account_document(account), indent=2))
    export.progress = {
        part.name: {"done": 0, "total": part.total(account.pk), "after": None, "complete": False} for part in parts()
    }
    return archive


def _finish(export: Export, archive: Archive, at: datetime) -> None:
    """Put the archive in its place, and tell the owner. What was exported before goes with the next run."""
    export.size = archive.finish()
    export.sha256 = hashlib.file_digest(archive.content(), "sha256").hexdigest()
    refuse_if_purging(export.account_id)
    _put_in_place(export, archive)
    export.file.name = export.name
    export.finished_at, export.expires_at = at, _expiry(export, at)
    export.position, export.attempts, export.last_error = {}, 0, ""
    export.save()
    others = Export.objects.filter(account=export.account_id).fetchable(at).exclude(pk=export.pk)
    # An archive made for a later instant (`sweep --at`) can't expire before it was finished.
    others.filter(finished_at__lte=at).update(expires_at=at)
    history.record(
        export.account_id,
        AccountEvent.EXPORT_READY,
        at=at,
        by=Actor.system(),
        subject=export,
        export=str(export.pk),
        rows=export.done,
        **({"missing": export.missing} if export.missing else {}),
    )
    queue(
        "accounts/export_ready",
        to=[export.account.owner()],
        account=export.account,
        occasion=f"export:{export.pk}",
        at=at,
        expires_at=export.expires_at,
        missing=export.missing,
    )


def _put_in_place(export: Export, archive: Archive) -> None:
    if export.is_built_in_place:
        os.replace(archive.path, default_storage.path(export.name))
        index_of(archive.path).unlink(missing_ok=True)
    else:
        # What an attempt before this one has left there.
        default_storage.delete(export.name)
        default_storage.save(export.name, File(archive.content()))


def _expiry(export: Export, at: datetime) -> datetime:
    """When the archive goes: after a week, or when all of the account does, if that comes first."""
    erased_from = Purge.objects.of(export.account_id).open().filter(due_at__gt=at).values_list("due_at", flat=True)
    return min([at + KEPT_FOR, *erased_from])


def _remove(export: Export, at: datetime) -> bool:
    """Delete an expired archive. The row names it until it is gone, so a kill in between forgets nothing."""
    with transaction.atomic():
        expired = Export.objects.expired(at).select_for_update(skip_locked=True, no_key=True)
        found = expired.filter(pk=export.pk).first()
        if found is None:
            return False
        default_storage.delete(found.file.name or "")  # missing is fine
        found.file.name, found.last_error = "", ""
        found.save(update_fields=["file", "last_error"])
        history.record(found.account_id, AccountEvent.EXPORT_REMOVED, at=at, by=Actor.system(), export=str(found.pk))
    return True


SWEEP = sweeps.Sweep("export", run=export_due, preview=preview, late_after=timedelta(minutes=10), queue=Queue.SLOW)

INVARIANTS = (
    overdue(
        Export,
        "export-overdue",
        _("data exports asked for more than an hour ago and still not finished"),
        example="account_id",
    ),
    invariants.Invariant(
        "export-still-there",
        _("data exports that expired more than an hour ago and are still not deleted"),
        lambda at: Export.objects.expired(at - STILL_THERE),
        example="account_id",
    ),
)
