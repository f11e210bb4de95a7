"""How a store hands out what it holds of an account: honestly, or in each of the ways in which stores do not."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.store.behaviour import Reply, said
from tests.fakes.store.state import Holdings

LINES = {"content-type": "application/x-ndjson"}


@dataclass
class Wanted:
    """One request for a part of an export, however often it came."""

    request: str
    account: str
    message: dict[str, Any]
    polls: int = 0


def part(store: Holdings, wanted: Wanted) -> bytes:
    records = [record for record in store.records if record.account == wanted.account]
    return b"".join(json.dumps({"kind": record.kind, "text": record.text}).encode() + b"\n" for record in records)


def _there(store: Holdings, wanted: Wanted, root: str, **changes: Any) -> Reply:
    content = part(store, wanted)
    told: dict[str, Any] = {
        "result_url": f"{root}/erasures/{wanted.request}/result",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "schema": {"type": "object", "properties": {"kind": {"type": "string"}, "text": {"type": "string"}}},
    }
    return said(200, status="done", **{**told, **changes})


Exporting = Callable[[Holdings, Wanted, bool, str], Reply]


def in_body(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return Reply(200, part(store, wanted), headers=LINES)


def fetched(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return _there(store, wanted, root)


def later(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    """Ready when it is asked after for the second time."""
    if not polled:
        return said(202, status="accepted")
    wanted.polls += 1
    return said(202, status="in_progress") if wanted.polls < 2 else _there(store, wanted, root)


def refuses(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return said(422, status="refused", reason="no_exports")


def never(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return said(202, status="in_progress")


def of_another_origin(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return _there(store, wanted, root, result_url="http://127.0.0.1:1/result")


def of_another_hash(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return _there(store, wanted, root, sha256="0" * 64)


def of_another_length(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return _there(store, wanted, root, bytes=3)


def without_hash(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return _there(store, wanted, root, sha256=None)


def too_long(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return _there(store, wanted, root, bytes=1024**3 + 1)


def no_lines(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return Reply(200, b"<html>\n", headers=LINES)


def no_objects(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return Reply(200, b"[1]\n2\n", headers=LINES)


def says_ok(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return Reply(200, b"OK")


def redirects(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return Reply(302, headers={"location": "/elsewhere"})


def fails(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return Reply(500)


def not_found(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return Reply(404)


def vanishes(store: Holdings, wanted: Wanted, polled: bool, root: str) -> Reply:
    return Reply(0, cut=True)


EXPORTINGS: dict[str, Exporting] = {
    exporting.__name__: exporting
    for exporting in (
        in_body,
        fetched,
        later,
        refuses,
        never,
        of_another_origin,
        of_another_hash,
        of_another_length,
        without_hash,
        too_long,
        no_lines,
        no_objects,
        says_ok,
        redirects,
        fails,
        not_found,
        vanishes,
    )
}
