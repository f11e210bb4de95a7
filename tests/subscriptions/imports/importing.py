"""Files of customers, and what importing them said."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command

#: A row with all that is needed, and no more.
PLAIN: dict[str, Any] = {
    "external_id": "cus_1",
    "name": "Harbour",
    "owner": {"email": "olga@harbour.example"},
    "subscription": {"plan": "pro", "interval": "monthly", "cents": 4900, "started_at": "2025-01-31T08:00:00Z"},
}


def row(number: int = 1, **changes: Any) -> dict[str, Any]:
    """The plain row of another customer; `subscription` and `owner` are changed field by field, None takes them out."""
    found = {
        **PLAIN,
        "external_id": f"cus_{number}",
        "name": f"Harbour {number}",
        "owner": {"email": f"owner{number}@harbour.example"},
        "subscription": {**PLAIN["subscription"], "external_id": f"sub_{number}"},
    }
    for name, value in changes.items():
        found[name] = {**found[name], **value} if isinstance(value, dict) else value
    return {name: value for name, value in found.items() if value is not None}


def json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(found, ensure_ascii=False) + "\n" for found in rows), encoding="utf-8")
    return path


def csv_file(path: Path, rows: Iterable[dict[str, Any]], *, delimiter: str = ",") -> Path:
    """The same rows as CSV, `owner.email` beside `name`."""
    flat = [_flat(found) for found in rows]
    names = list(dict.fromkeys(name for found in flat for name in found))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(flat)
    return path


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{field}": inner for field, inner in value.items()})
        elif isinstance(value, list):
            flat[name] = "; ".join(f"{member['email']} {member.get('role', '')}".strip() for member in value)
        else:
            flat[name] = value
    return flat


@dataclass(frozen=True)
class Imported:
    """Exit code, what was printed, and the report."""

    code: int
    printed: str
    report: list[dict[str, Any]]

    @property
    def outcomes(self) -> list[str]:
        return [line["outcome"] for line in self.report]

    @property
    def codes(self) -> list[str]:
        return [line["code"] for line in self.report]

    @property
    def totals(self) -> str:
        return next(line for line in self.printed.splitlines() if " rows: " in line)


def run(file: Path, *options: str) -> Imported:
    """`manage.py import_accounts FILE`, with a report."""
    report = file.with_suffix(".report")
    printed = StringIO()
    code = 0
    try:
        call_command("import_accounts", str(file), f"--report={report}", *options, stdout=printed, stderr=StringIO())
    except SystemExit as end:
        code = int(end.code or 0)
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    return Imported(code, printed.getvalue(), lines)
