"""Reading a file of customers, JSON lines or CSV, one row at a time: a file of any size takes the same memory.

What can't be read is a row that is refused, with the number of its line; the rows after it are read. Only what is wrong
with the whole file (its encoding from the first byte on, the names in the first line) is `FileRefused`.
"""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from accounts.core import strict_json
from subscriptions.imports.refusals import FileRefused, RowRefused, refused

#: Bytes. An account with a thousand members takes a tenth of it.
MAX_LINE = 1_000_000
#: Between the columns of a CSV file: whichever splits the first line into names that are known.
DELIMITERS = (",", ";", "\t")
#: Marks at the beginning of files in other encodings; the longer ones first.
OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True)
class Line:
    """A row of the file: the number of its (first) line from 1, and what it says, or why it can't be read."""

    number: int
    document: dict[str, Any] | None = None
    refusal: RowRefused | None = None


def lines(path: Path, columns: frozenset[str]) -> Iterator[Line]:
    """The rows of a file by the end of its name, `.jsonl` or `.csv`; empty lines are none.

    `columns` are the names that a CSV file may have in its first line. Raises `FileRefused`, and `OSError`.
    """
    kind = path.suffix.lower()
    if kind not in (".jsonl", ".csv"):
        raise FileRefused("Is it JSON lines or CSV? Let the file's name end in .jsonl or .csv.")
    with path.open("rb") as file:
        _skip_mark(file)
        yield from _json_lines(file) if kind == ".jsonl" else _csv_rows(file, columns)


def _skip_mark(file: IO[bytes]) -> None:
    start = file.read(4)
    for mark, encoding in OTHER_ENCODINGS.items():
        if start.startswith(mark):
            raise FileRefused(f"Line 1: the file is {encoding}. Save it as UTF-8 and import it again.")
    if b"\x00" in start:
        raise FileRefused("Line 1: the file is UTF-16, or no text at all. Save it as UTF-8 and import it again.")
    file.seek(len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0)


def _raw_lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Each line with its end; None for one that is longer than `MAX_LINE`, which is never in memory as a whole."""
    while line := file.readline(MAX_LINE + 1):
        if len(line) <= MAX_LINE:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE)
        yield None


def _json_lines(file: IO[bytes]) -> Iterator[Line]:
    for number, line in enumerate(_raw_lines(file), start=1):
        if line is None:
            yield Line(number, refusal=refused("too_long"))
        elif text := line.strip():
            yield _json_line(number, text)


def _json_line(number: int, text: bytes) -> Line:
    try:
        text.decode()
    except UnicodeDecodeError:
        return Line(number, refusal=refused("encoding"))
    try:
        document = strict_json.parse(text)
    except strict_json.BadJSON:
        return Line(number, refusal=refused("json"))
    if not isinstance(document, dict):
        return Line(number, refusal=refused("json"))
    return Line(number, document)


class _Text:
    """The lines of a CSV file as text, and whether any of the row just read could not be one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._lines = _raw_lines(file)
        self.number = 0
        self.wrong: str = ""

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            if line is None:
                self.wrong = "too_long"
                yield "\n"
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError:
                # Read on as if it were, so that the row ends where it ends.
                self.wrong = "encoding"
                text = line.decode(errors="replace")
            yield text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _csv_rows(file: IO[bytes], columns: frozenset[str]) -> Iterator[Line]:
    text = _Text(file)
    unread = iter(text)
    first = next(unread, "")
    if text.wrong:
        raise FileRefused("Line 1 is not UTF-8. Save the file as UTF-8 and import it again.")
    names, delimiter = _header(first, columns)
    rows = csv.reader(unread, delimiter=delimiter, strict=True)
    while True:
        number, text.wrong = text.number + 1, ""
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield Line(number, refusal=refused(text.wrong or "quoting"))
            continue
        if text.wrong:
            yield Line(number, refusal=refused(text.wrong))
        elif len(cells) not in (0, len(names)):
            yield Line(number, refusal=refused("cells"))
        elif any(cells):
            yield Line(number, dict(zip(names, cells, strict=True)))


def _header(line: str, columns: frozenset[str]) -> tuple[list[str], str]:
    """The names of the columns, and what stands between them."""
    ways = {delimiter: _names(line, delimiter) for delimiter in DELIMITERS}
    delimiter = max(ways, key=lambda way: len(columns.intersection(ways[way])))
    names = ways[delimiter]
    known = ", ".join(sorted(columns))
    if unknown := [name for name in names if name not in columns]:
        raise FileRefused(
            f"Line 1: {len(unknown)} of its {len(names)} columns are not known (the first is column "
            f"{names.index(unknown[0]) + 1}). Known are: {known}."
        )
    if len(set(names)) < len(names):
        raise FileRefused("Line 1: two columns have the same name.")
    return names, delimiter


def _names(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
    except csv.Error:
        return []
