"""Sheets: a figure's rows as CSV, for whoever counts on.

A byte order mark, without which Excel reads UTF-8 as the machine's own code page; a header row of plain codes; instants
as ISO 8601 in UTC, durations in seconds. What customers wrote is data: a spreadsheet must not take it for a formula
(CWE-1236), so such a cell begins with an apostrophe.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain

from django.http import StreamingHttpResponse

from accounts.desk.dashboard.figures import Choice, FigureProgress, Link, Row, Value

#: What spreadsheets take for a formula, also behind blanks, invisible characters and quotes, and in full width; and
#: the control characters that some of them swallow before they look.
FORMULA = re.compile(r"""[\s\x00-\x1f\u200b-\u200f\u2060\ufeff"']*[=+\-@＝＋－＠|%]|[\x00-\x1f]""")

#: Says to a spreadsheet that what follows is UTF-8.
BYTE_ORDER_MARK = "\ufeff"


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def download(name: str, header: Iterable[str], rows: Iterable[Row]) -> StreamingHttpResponse:
    """A sheet to download, written while it is read: as long as it may be, it takes no memory."""
    return StreamingHttpResponse(
        chain([BYTE_ORDER_MARK], written(header, rows)),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


def written(header: Iterable[str], rows: Iterable[Row]) -> Iterator[str]:
    """The lines of a sheet."""
    writer = csv.writer(_Line())
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


def cell(value: Value) -> str:
    """A value as it stands in a sheet. Numbers of our own are numbers, be they negative; texts are guarded."""
    match value:
        case None:
            return ""
        case bool() | int() | float():
            return str(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case timedelta():
            return str(round(value.total_seconds()))
        case FigureProgress(done, of):
            return f"{done} of {of}"
        case Choice(code):
            return guarded(code)
        case Link(text):
            return guarded(text)
    return guarded(value)


def guarded(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet could take it for a formula."""
    return f"'{text}" if FORMULA.match(text) else text
