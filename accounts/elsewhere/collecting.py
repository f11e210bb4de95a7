"""Collecting what stores elsewhere hand out for data exports: the `export-elsewhere` sweep.

A store is asked by `export.requested` and answers with JSON lines in the body, or later with the address of a file of
its own origin, its SHA-256 and its length (docs/stores-elsewhere.md). Either is streamed to this machine's disk, under
a cap, checked line by line, and laid into the account's folder under a name of ours. Nothing that is shorter, longer or
other than announced is taken.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import IO, Annotated, Any
from urllib.parse import urlsplit

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from accounts.core.clock import rfc3339
from accounts.core.strict_json import BadJSON, parse
from accounts.core.write_guard import refuse_if_purging
from accounts.elsewhere.remote_export import Absence, RemoteExport, people_of
from accounts.elsewhere.signed_call import send
from accounts.elsewhere.store import RemoteStore, named
from accounts.jobs import sweeps
from accounts.jobs.due_work import NotYet, overdue, run_due
from accounts.jobs.queues import Queue
from accounts.outgoing.client import LIMIT, OutgoingError

TYPE = "export.requested"
#: Of one part. An account's data in one system; more than that nobody downloads.
MOST_BYTES = 1024**3
#: A line is one record; a longer one would not fit into the memory of whoever reads it.
MOST_IN_A_LINE = 16 * 1024**2
#: Seconds for an answer, with the part in its body or without; and for a part that is fetched: 1 GB at 4 MB a second.
ANSWER, TIMEOUT = 60.0, 240.0
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=5)
#: As what a body of records comes: JSON lines. Anything else is read as a report.
LINES = frozenset({"application/jsonl", "application/x-ndjson", "application/jsonlines", "application/x-jsonlines"})


class NotTaken(Exception):
    """What a store hands out is not what it may hand out. Says why, for staff."""


class ExportReport(BaseModel):
    """What a store says of its part, instead of the part."""

    model_config = ConfigDict(extra="ignore")

    status: Annotated[str, StringConstraints(max_length=40)]
    result_url: Annotated[str, StringConstraints(max_length=2000)] = ""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    bytes: Annotated[int, Field(ge=0, strict=True)] | None = None
    schema_: dict[str, Any] = Field(default={}, alias="schema")


class Catch:
    """Writes what comes to a file, and keeps count: how much, and its hash."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size, self._hash = file, 0, hashlib.sha256()

    def take(self, piece: bytes) -> None:
        self.file.write(piece)
        self._hash.update(piece)
        self.size += len(piece)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def records_in(file: IO[bytes]) -> int:
    """How many records the file holds, an object a line; empty lines are none. Raises `NotTaken` for anything else."""
    file.seek(0)
    records = 0
    while line := file.readline(MOST_IN_A_LINE + 1):
        if len(line) > MOST_IN_A_LINE:
            raise NotTaken("a line of it is too long")
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise NotTaken("a line of it is not JSON") from None
        if not isinstance(found, dict):
            raise NotTaken("a line of it is no object")
        records += 1
    return records


def preview(at: datetime) -> Iterator[str]:
    """Whom `collect_due` would ask at `at`, a line each."""
    for row in RemoteExport.objects.due(at).iterator():
        yield f"{row.account_id}: {row.store} asked for its part of a data export"


def collect_due(at: datetime) -> int:
    """Ask for every part that is due at `at`, and give up those that are late. Returns how many are settled."""
    _tidy()
    return run_due(RemoteExport.objects.due, _collect, at=at, run=RUN)


def _tidy() -> None:
    """Delete the parts of archives that are finished: they are in those."""
    for row in RemoteExport.objects.with_file().exclude(export__finished_at=None):
        default_storage.delete(row.file)
        RemoteExport.objects.filter(pk=row.pk).update(file="")


def _collect(row: RemoteExport, at: datetime) -> bool:
    store = named(row.store)
    if store is None:
        return row.note_missing(Absence.GONE, at)
    if at >= row.until:
        return row.note_missing(Absence.LATE, at)
    try:
        return _poll(row, store, at) if row.accepted_at else _request(row, store, at)
    except (OutgoingError, NotTaken) as error:
        raise _not_yet(row, str(error), at) from None


def _request(row: RemoteExport, store: RemoteStore, at: datetime) -> bool:
    return _answer(row, store, "POST", store.address, at, body=_body(row))


def _poll(row: RemoteExport, store: RemoteStore, at: datetime) -> bool:
    return _answer(row, store, "GET", f"{store.address}/{row.request}", at)


def _answer(
    row: RemoteExport, store: RemoteStore, method: str, address: str, at: datetime, *, body: bytes = b""
) -> bool:
    """Make one call. The part itself is taken; of a report what it says is done."""
    with TemporaryFile() as file:
        catch = Catch(file)
        answer = send(
            store, method, address, request=row.request, body=body, timeout=ANSWER, limit=MOST_BYTES, into=catch.take
        )
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if answer.status == 200 and kind in LINES:
            if not answer.is_whole:
                raise NotTaken("it is longer than 1 GB")
            return _deliver(row, catch, {}, at)
        said = answer.body
        if answer.status == 200:
            file.seek(0)
            said = file.read(LIMIT)
    if answer.status not in (200, 202, 409, 422):
        raise _not_yet(row, f"it answered {answer.status}", at)
    if answer.status == 409:
        return _accepted(row, at)
    return _reported(row, store, answer.status, said, at)


def _reported(row: RemoteExport, store: RemoteStore, status: int, said: bytes, at: datetime) -> bool:
    try:
        report = ExportReport.model_validate(parse(said))
    except (BadJSON, ValidationError):
        raise _not_yet(row, f"it answered {status} with a body that can't be read", at) from None
    if status == 422 and report.status == "refused":
        return row.note_missing(Absence.REFUSED, at)
    if status == 202 and report.status in ("accepted", "in_progress"):
        return _accepted(row, at)
    if status == 200 and report.status == "done" and report.result_url:
        return _fetch(row, store, report, at)
    raise _not_yet(row, "it answered with a word that means nothing here", at)


def _accepted(row: RemoteExport, at: datetime) -> bool:
    RemoteExport.objects.filter(pk=row.pk, accepted_at=None).update(accepted_at=at)
    raise _not_yet(row, "it is still at work", at)


def _fetch(row: RemoteExport, store: RemoteStore, report: ExportReport, at: datetime) -> bool:
    """Take the part from where the store says that it is: from its own origin, as long and with the hash it says."""
    if _origin(report.result_url) != _origin(store.address):
        raise NotTaken("the address of its result is not of its own origin")
    if report.sha256 is None or report.bytes is None:
        raise NotTaken("its result comes without a hash or a length")
    if report.bytes > MOST_BYTES:
        raise NotTaken("it is longer than 1 GB")
    with TemporaryFile() as file:
        catch = Catch(file)
        answer = send(
            store,
            "GET",
            report.result_url,
            request=row.request,
            timeout=TIMEOUT,
            # Not a byte more than it has said.
            limit=max(report.bytes, 1),
            into=catch.take,
        )
        if answer.status != 200:
            raise _not_yet(row, f"its result answered {answer.status}", at)
        if not answer.is_whole or catch.size != report.bytes:
            raise NotTaken("its result is not as long as it has said")
        if catch.sha256 != report.sha256:
            raise NotTaken("its result does not have the hash that it has said")
        return _deliver(row, catch, report.schema_, at)


def _deliver(row: RemoteExport, catch: Catch, schema: dict[str, Any], at: datetime) -> bool:
    """Lay the part into the account's folder. Holds up an erasing that begins just now: it finds the file, too."""
    records = records_in(catch.file)
    name = f"exports/{row.account_id}/elsewhere-{row.request}.jsonl"
    with transaction.atomic():
        refuse_if_purging(row.account_id)
        current = RemoteExport.objects.open().select_for_update(no_key=True).filter(pk=row.pk).first()
        if current is None:
            return False
        catch.file.seek(0)
        # One of an attempt that was killed in between.
        default_storage.delete(name)
        current.file = default_storage.save(name, File(catch.file))
        current.size, current.records, current.schema = catch.size, records, schema
        current.delivered_at, current.last_error, current.attempts = at, "", 0
        current.save()
    return True


def _body(row: RemoteExport) -> bytes:
    """What is sent: the same in every attempt but for the number of it."""
    data = {
        "request": str(row.request),
        "account": str(row.account_id),
        "external_id": row.account.external_id or None,
        "people": people_of(row.account_id),
        "formats": ["jsonl"],
        "deadline_at": rfc3339(row.until),
        "attempt": row.attempts + 1,
    }
    return json.dumps({"type": TYPE, "timestamp": rfc3339(row.asked_at), "data": data}, separators=(",", ":")).encode()


def _origin(address: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; a port that is none, and no host, are nobody's."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", "", None)
    if "@" in parts.netloc or not address.isascii() or not address.isprintable() or " " in address:
        return ("", "", None)
    return (parts.scheme, (parts.hostname or "").lower(), port)


def _not_yet(row: RemoteExport, why: str, at: datetime) -> NotYet:
    """It is tried again: later each time, and never after it has to be there."""
    return NotYet(why, until=min(at + row.wait_after(row.attempts), row.until))


SWEEP = sweeps.Sweep(
    "export-elsewhere", run=collect_due, preview=preview, late_after=timedelta(minutes=30), queue=Queue.SLOW
)

INVARIANTS = (
    overdue(
        RemoteExport,
        "export-elsewhere-overdue",
        _("parts of data exports that were not given up although their time is over"),
        example="account_id",
        shown_as="export",
    ),
)
