"""Changes that do not overwrite each other: strong ETags, and `If-Match` (RFC 9110; RFC 6585 for 428).

An ETag is the hash of what is told of a resource, the version of its row included, which the database counts: so it
changes with every change of the row, whoever makes it, even with one that is undone again.
"""

import hashlib

from django.http import HttpRequest

from accounts.api import problems
from accounts.api.problems import Problem


def etag_of(told: str) -> str:
    """The strong ETag of an answer."""
    return f'"{hashlib.sha256(told.encode()).hexdigest()[:32]}"'


def require_match(request: HttpRequest, etag: str) -> None:
    """Raise 428 without `If-Match`, and 412 if it names another ETag. Called under the row's lock."""
    given = request.headers.get("If-Match", "").strip()
    if not given:
        raise Problem(problems.IF_MATCH_MISSING)
    # A weak one never matches here (RFC 9110, 13.1.1).
    if given != "*" and etag not in [part.strip() for part in given.split(",")]:
        raise Problem(problems.STALE)


def is_known(request: HttpRequest, etag: str) -> bool:
    """Whether the caller has it already (`If-None-Match`): then 304 is enough."""
    given = request.headers.get("If-None-Match", "")
    return any(part.strip().removeprefix("W/") in (etag, "*") for part in given.split(","))
