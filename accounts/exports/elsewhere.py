"""What stores elsewhere have handed out, in the archive: `elsewhere/<store>/`, under names of ours alone."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.core.files.storage import default_storage
from django.utils import translation

from accounts.elsewhere import remote_export
from accounts.elsewhere.remote_export import RemoteExport
from accounts.exports.archive import Archive
from accounts.exports.parts import Batch, Key, as_json

#: Bytes written between two notes of progress.
BATCH = 8 * 1024**2


def told(export_id: uuid.UUID) -> str:
    """What the README says of other systems: which parts are there, and which are missing, and why."""
    rows = RemoteExport.objects.filter(export_id=export_id).order_by("store")
    there = "".join(f"  {_folder(row)}/: what the system “{row.store}” holds\n" for row in rows if row.file)
    # In one language, as the rest of it.
    with translation.override("en"):
        absent = "".join(f"  {row.store}: {row.get_absence_display()}\n" for row in rows if row.missing_at)
    if not absent:
        return there
    again = "Ask for another export later, and they are asked again."
    return f"{there}\nMISSING from this archive, because these systems hold more of your data:\n\n{absent}\n{again}\n"


def _folder(row: RemoteExport) -> str:
    return f"elsewhere/{row.store}"


def _schema(row: RemoteExport) -> Mapping[str, Any]:
    """As the store describes a record; else that each line is one."""
    items = row.schema or {"type": "object", "description": f"one record, as the system “{row.store}” wrote it"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "Of data.jsonl, read as the array of its lines.",
        "type": "array",
        "items": items,
    }


class Elsewhere:
    """The parts of other systems, one after the other. Gone on with at a byte of one of them."""

    name = "elsewhere"

    def total(self, account_id: uuid.UUID) -> int:
        return sum(row.records for row in remote_export.delivered(account_id))

    def write(self, archive: Archive, account_id: uuid.UUID, after: Key | None) -> Batch:
        rows = remote_export.delivered(account_id)
        number, place = after or (0, 0)
        if number >= len(rows):
            return Batch(0, None, complete=True)
        row = rows[number]
        if not place:
            archive.open_member(f"{_folder(row)}/data.jsonl")
        with default_storage.open(row.file) as file:
            file.seek(place)
            piece = file.read(BATCH)
        archive.write(piece)
        if len(piece) == BATCH:
            return Batch(0, [number, place + BATCH], complete=False)
        archive.close_member()
        archive.add(f"{_folder(row)}/schema.json", as_json(_schema(row), indent=2))
        return Batch(row.records, [number + 1, 0], complete=number + 1 == len(rows))


PART = Elsewhere()
