#!/usr/bin/env python3
"""Verify certificates of erasure without the database that issued them.

    python3 verify_certificates.py certificate.json
    python3 verify_certificates.py certificates.jsonl
    python3 verify_certificates.py certificates.jsonl --earlier kept-last-year.jsonl
    python3 verify_certificates.py certificate.json --chain certificates.jsonl

The first checks one certificate, the JSON beside its page. The second checks a whole chain, as `manage.py certificates
--export` writes it. With `--earlier` that one must go on from another one, exported before: nothing that was certified
then has been changed or left out since. With `--chain` the certificate must stand in that chain.

This file needs Python 3.10 or newer, and nothing else: it imports nothing of Offboard's, reads the files that it is
given, and calls nobody. The rule that it checks is short enough to be written again by whoever doubts this file:

    hash = SHA-256(previous hash, a newline, the body as JSON: keys sorted, no spaces, everything beyond ASCII escaped)

The first certificate of a chain comes after sixty-four zeros. What a hash can't show is a chain that was made anew from
beginning to end: keep an export, or the hash of one certificate, where the issuer can't reach it, and use `--earlier`.

Exit codes: 0 all sound; 1 something is altered, missing, or does not belong together; 2 the command or a file can't be
read.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

#: What the first certificate comes after.
NOTHING = "0" * 64
#: What the first line of an exported chain says that it is.
KIND = "certificates of erasure"
SOUND, ALTERED, UNREADABLE = 0, 1, 2

#: A certificate: its body, the hash of the one before, its own hash.
Record = dict[str, Any]


class Fault(Exception):
    """What is wrong, in words."""


@dataclass(frozen=True)
class Chain:
    system: object
    records: list[Record]


def canonical(record: object) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def seal(body: Record, previous: str) -> str:
    return hashlib.sha256(f"{previous}\n{canonical(body)}".encode()).hexdigest()


def parsed(text: str, where: str) -> Any:
    """JSON without what two readers could read in two ways: a key that stands twice, numbers that are none."""

    def once(pairs: list[tuple[str, Any]]) -> Record:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Fault(f"{where} is altered: a key stands in it twice")
        return found

    def no_constant(name: str) -> NoReturn:
        raise Fault(f"{where} is altered: {name} is no number")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Fault(f"{where} is altered: it is not JSON") from None


def record_of(found: Any, where: str) -> Record:
    """A certificate whose hash fits. Raises `Fault`."""
    if not isinstance(found, dict) or sorted(found) != ["body", "hash", "previous"]:
        raise Fault(f"{where} is not a certificate: it has to have a body, a hash and the hash of the one before")
    body, previous, own = found["body"], found["previous"], found["hash"]
    if not isinstance(body, dict) or not isinstance(previous, str) or not isinstance(own, str):
        raise Fault(f"{where} is not a certificate")
    try:
        fits = seal(body, previous) == own
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise Fault(f"{where} is altered: its hash does not fit")
    number = body.get("number")
    if type(number) is not int or number < 1:
        raise Fault(f"{where} is altered: it has no number")
    if (number == 1) != (previous == NOTHING):
        raise Fault(f"{where} is altered: the first certificate, and no other, comes after nothing")
    if body.get("left") != 0:
        raise Fault(f"certificate {number} does not say that nothing was left")
    return found


def chain_of(text: str) -> Chain:
    """All certificates of an exported chain, in order. Every byte counts."""
    head, *lines = text.split("\n")
    if not lines or lines.pop() != "":
        raise Fault("the file ends in the middle of a line")
    about = parsed(head, "line 1")
    records: list[Record] = []
    for place, line in enumerate(lines, start=2):
        found = parsed(line, f"line {place}")
        if canonical(found) != line:
            raise Fault(f"line {place} is altered: it is not written as it was issued")
        record = record_of(found, f"line {place}")
        before = records[-1] if records else None
        if record["body"]["number"] != len(records) + 1:
            raise Fault(f"line {place}: certificate {len(records) + 1} is missing")
        if record["previous"] != (before["hash"] if before else NOTHING):
            raise Fault(f"line {place} does not follow the line before: one of the two is altered")
        records.append(record)
    last = records[-1]["hash"] if records else NOTHING
    if not isinstance(about, dict) or about.get("last") != last or about.get("records") != len(records):
        raise Fault("line 1 is altered, or lines at the end are missing")
    return Chain(about.get("system"), records)


def is_chain(text: str) -> bool:
    """Whether a file is a chain: its first line says so."""
    try:
        about = parsed(text.split("\n", 1)[0], "line 1")
    except Fault:
        return False
    return isinstance(about, dict) and about.get("kind") == KIND


def goes_on_from(later: Chain, earlier: Chain) -> None:
    """That a chain has everything an earlier export of it has."""
    if later.system != earlier.system:
        raise Fault("the two files are of different installations")
    if len(later.records) < len(earlier.records):
        raise Fault(f"certificate {len(later.records) + 1} was there in the earlier file and is missing")
    for record, before in zip(later.records, earlier.records, strict=False):
        if record["hash"] != before["hash"]:
            raise Fault(f"certificate {record['body']['number']} is not the one of the earlier file")


def stands_in(record: Record, chain: Chain) -> None:
    """That a certificate is the one which the chain has under its number."""
    number = record["body"]["number"]
    if number > len(chain.records):
        raise Fault(f"certificate {number} is not in the chain, which ends at {len(chain.records)}")
    if chain.records[number - 1]["hash"] != record["hash"]:
        raise Fault(f"certificate {number} is not the one in the chain")


def told(record: Record) -> Iterator[str]:
    """What a certificate says, in a few lines; as JSON, so that nothing in it can play with a terminal."""
    body = record["body"]
    yield f"Certificate {body['number']} is sound."
    for name in ("account", "cause", "received_at", "deadline_at", "started_at", "verified_at", "deadline_met"):
        yield f"  {name}: {canonical(body.get(name))}"
    erased = body.get("erased")
    counts = [count for count in erased.values() if type(count) is int] if isinstance(erased, dict) else []
    yield f"  erased here: {sum(counts)}, left: 0"
    for entry in body.get("elsewhere") or []:
        if isinstance(entry, dict):
            yield f"  elsewhere: {canonical(entry)}"
    yield f"  hash: {record['hash']}"


def read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read().decode("utf-8", errors="replace")


def verify(arguments: argparse.Namespace) -> Iterator[str]:
    text = read(arguments.file)
    if is_chain(text):
        chain = chain_of(text)
        if arguments.chain:
            raise Fault("--chain goes with one certificate, and the file is a chain")
        if arguments.earlier:
            goes_on_from(chain, chain_of(read(arguments.earlier)))
        yield f"{len(chain.records)} certificates, all sound."
        if chain.records:
            yield f"Keep the last hash where the issuer can't reach it: {chain.records[-1]['hash']}"
        return
    if arguments.earlier:
        raise Fault("--earlier goes with a chain, and the file is none, or its first line is altered")
    record = record_of(parsed(text, "the file"), "the file")
    if arguments.chain:
        stands_in(record, chain_of(read(arguments.chain)))
    yield from told(record)
    if arguments.chain:
        yield "It stands in the chain."


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Verify a certificate of erasure, or a whole chain of them, without the database that issued them.",
        epilog="Exit codes: 0 all sound; 1 altered, missing or not belonging together; 2 not readable.",
    )
    parser.add_argument("file", help="a certificate (JSON) or a chain (JSON lines)")
    parser.add_argument("--chain", metavar="FILE", help="the chain in which the certificate must stand")
    parser.add_argument("--earlier", metavar="FILE", help="an earlier export, from which the chain must go on")
    try:
        for line in verify(parser.parse_args(given)):
            sys.stdout.write(f"{line}\n")
    except Fault as fault:
        sys.stdout.write(f"Not sound: {fault}.\n")
        return ALTERED
    except OSError as error:
        sys.stderr.write(f"{error.filename} can't be read: {error.strerror}.\n")
        return UNREADABLE
    return SOUND


if __name__ == "__main__":
    sys.exit(main())
