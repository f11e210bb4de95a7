"""Chains: records that each carry the hash of the one before, so that an altered or a missing one shows.

A record is sealed by the SHA-256 of its canonical JSON together with the hash before it. Written to a file, one
record a line below a line that tells what the file is, every byte counts: a line that isn't exactly what we would
have written is an altered one.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

#: What the first record of a chain comes after.
NOTHING = "0" * 64


class Altered(Exception):
    """A file or a record is not what was written. The message says where."""


@dataclass(frozen=True)
class ChainLink:
    body: dict[str, Any]
    previous: str
    hash: str

    def is_sound(self) -> bool:
        return self.hash == seal(self.body, self.previous)

    def line(self) -> str:
        return canonical({"body": self.body, "hash": self.hash, "previous": self.previous})


def canonical(record: object) -> str:
    """JSON in one spelling only: sorted keys, no spaces, ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def seal(body: dict[str, Any], previous: str) -> str:
    """The hash of a record that comes after the one with the hash `previous`."""
    return hashlib.sha256(f"{previous}\n{canonical(body)}".encode()).hexdigest()


def linked(bodies: Iterable[dict[str, Any]]) -> Iterator[ChainLink]:
    """A new chain of these records."""
    previous = NOTHING
    for body in bodies:
        link = ChainLink(body, previous, seal(body, previous))
        yield link
        previous = link.hash


def write(path: Path, kind: str, system: str, links: Iterable[ChainLink]) -> int:
    """Write a chain to a file: all of it, or, on a full disk, nothing. Returns how many records."""
    lines = [link.line() for link in links]
    last = json.loads(lines[-1])["hash"] if lines else NOTHING
    head = canonical({"kind": kind, "last": last, "records": len(lines), "system": system})
    handle, name = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii", newline="") as file:
            file.writelines(f"{line}\n" for line in [head, *lines])
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        # Interrupted, too: half a chain must not be taken for one. It goes on its way afterwards.
        Path(name).unlink(missing_ok=True)
        raise
    return len(lines)


def read(path: Path, kind: str) -> tuple[str, list[ChainLink]]:
    """The system that wrote the file, and its records in order. Raises `Altered` if a single byte is not as written."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    head, *lines = text.split("\n")
    if not lines or lines.pop() != "":
        raise Altered("the file ends in the middle of a line")
    about = _parsed(head, 1)
    if not isinstance(about, dict) or about.get("kind") != kind:
        raise Altered(f"line 1 is altered, or this is not a file of {kind}")
    links = [_link(line, number) for number, line in enumerate(lines, start=2)]
    for number, (before, link) in enumerate(pairwise(links), start=3):
        if link.previous != before.hash:
            raise Altered(f"line {number} does not follow line {number - 1}: one in between is missing or altered")
    expected = {"kind": kind, "last": links[-1].hash if links else NOTHING, "records": len(links)}
    if about != {**expected, "system": about.get("system")} or not isinstance(about["system"], str):
        raise Altered("line 1 is altered, or lines at the end are missing")
    return about["system"], links


def _parsed(line: str, number: int) -> Any:
    try:
        record = json.loads(line)
    except ValueError:
        raise Altered(f"line {number} is altered: it is not JSON") from None
    if canonical(record) != line:
        raise Altered(f"line {number} is altered: it is not written as we write it")
    return record


def _link(line: str, number: int) -> ChainLink:
    record = _parsed(line, number)
    if (
        not isinstance(record, dict)
        or sorted(record) != ["body", "hash", "previous"]
        or type(record["body"]) is not dict
    ):
        raise Altered(f"line {number} is altered: it is not a record")
    link = ChainLink(record["body"], str(record["previous"]), str(record["hash"]))
    if not link.is_sound():
        raise Altered(f"line {number} is altered: its hash does not fit")
    return link
