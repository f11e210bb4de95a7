"""What was asked of the fake, and what it must fail at.

A pattern is a method and a path, with `*` for anything: "DELETE /repos/*/hooks/*", "* /marketplace_listing/*",
"GET /marketplace_listing/plans/*/accounts?*page=2*".
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal

from tests.fakes.github.state import World

AuthKind = Literal["none", "basic", "jwt", "token"]

MUTATIONS = ("POST", "PUT", "PATCH", "DELETE")
HOURLY_LIMIT = 5_000
# What stands in for GitHub's servers when they are away is not JSON.
UNICORN = "<!doctype html><title>Unicorn! &middot; GitHub</title><p>No server is currently available.</p>"


@dataclass(eq=False)
class Request:
    """A request that came in. `status` is None as long as, or if, nothing was answered."""

    method: str
    path: str
    query: str
    auth: AuthKind
    # The token that was asked about, in calls that carry it in the body.
    subject: str
    at: datetime  # the fake's `now`
    monotonic: float  # seconds of this machine, to measure the pause between two
    status: int | None = None
    fault: "Fault | None" = None
    # False if a fault came before the work.
    carried_out: bool = False

    def matches(self, pattern: str) -> bool:
        line = f"{self.method} {self.path}"
        return fnmatchcase(line, pattern) or bool(self.query and fnmatchcase(f"{line}?{self.query}", pattern))

    @property
    def succeeded(self) -> bool:
        """The work was done and the answer said so."""
        return self.carried_out and self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.auth}) -> {self.status or 'no answer'}"


@dataclass(eq=False)
class Fault:
    """One way to fail. See `Traffic.fail`."""

    pattern: str
    status: int
    left: int | None  # None: until `heal`
    body: Any
    headers: dict[str, str]
    hang: float | None
    disconnect: bool
    garbled: bool
    carried_out: bool
    skip: int


@dataclass
class RateLimit:
    limit: int
    remaining: int
    reset_at: datetime
    # Not before `rate_limit` was called: then the headers are only news.
    enforced: bool = False


@dataclass
class _Record:
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class Traffic(World):
    def clear(self) -> None:
        super().clear()
        self._record = _Record()
        self._limit = RateLimit(HOURLY_LIMIT, HOURLY_LIMIT, self.now + timedelta(hours=1))

    # What was asked

    @property
    def requests(self) -> list[Request]:
        """Every request since the start or since `forget_requests`, in order."""
        return list(self._record.requests)

    def requested(self, pattern: str) -> list[Request]:
        return [request for request in self.requests if request.matches(pattern)]

    def count(self, pattern: str = "*") -> int:
        return len(self.requested(pattern))

    def forget_requests(self) -> None:
        self._record.requests.clear()

    def repeated(self) -> list[Request]:
        """The changes that were asked for again although the answer had said that they were done."""
        done: set[tuple[str, str, str]] = set()
        again = []
        for request in self.requests:
            change = (request.method, request.path, request.subject)
            # The check of a token and the exchange of a code are POSTs that may come twice.
            if request.method == "POST" or request.method not in MUTATIONS:
                continue
            if change in done:
                again.append(request)
            if request.succeeded:
                done.add(change)
        return again

    # What must fail

    def fail(
        self,
        pattern: str,
        status: int = 500,
        *,
        times: int | None = 1,
        skip: int = 0,
        retry_after: int | None = None,
        reset_at: datetime | None = None,
        spammed: bool = False,
        location: str | None = None,
        hang: float | None = None,
        disconnect: bool = False,
        garbled: bool = False,
        empty: bool = False,
        carried_out: bool = False,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Fault:
        """The next `times` (None: all) matching requests fail, after `skip` that don't.

        - `status` alone answers with GitHub's usual body: 401, 403 (a permission), 404, 422, 429, 5xx
        - 403 or 429 with `retry_after` seconds is the secondary rate limit; with `reset_at`, the primary one
        - 422 with `spammed` is the other meaning of 422
        - 301, 302, 307, 308 need a `location`
        - `hang` holds the connection that many seconds and closes it; `disconnect` resets it at once
        - `garbled` is a 200 whose body is cut-off JSON; `empty` a 200 with an empty list
        - `carried_out` does the work first, so that only the answer is lost or wrong
        - `body` (JSON) and `headers` replace and add to what would be sent
        """
        if status in (301, 302, 307, 308) and not location:
            raise ValueError(f"A {status} needs a location")
        if garbled or empty:
            status = 200
        fault = Fault(
            pattern=pattern,
            status=status,
            left=times,
            body=[] if empty else _body(status, retry_after, reset_at, spammed) if body is None else body,
            headers=_headers(retry_after, reset_at, location) | (headers or {}),
            hang=hang,
            disconnect=disconnect,
            garbled=garbled,
            carried_out=carried_out,
            skip=skip,
        )
        self._record.faults.append(fault)
        return fault

    def heal(self, *faults: Fault) -> None:
        """These faults end; without any, all do, and the rate limit with them."""
        if faults:
            self._record.faults = [known for known in self._record.faults if known not in faults]
            return
        self._record.faults.clear()
        self._limit = RateLimit(HOURLY_LIMIT, HOURLY_LIMIT, self.now + timedelta(hours=1))

    def rate_limit(self, *, remaining: int, reset_at: datetime, limit: int = HOURLY_LIMIT) -> None:
        """So many requests are left until then, by `now`. At none, everything is answered with 403."""
        self._limit = RateLimit(limit, remaining, reset_at, enforced=True)

    # For the server

    def record(
        self, *, method: str, path: str, query: str, auth: AuthKind, subject: str
    ) -> tuple[Request, Fault | None]:
        request = Request(method, path, query, auth, subject, at=self.now, monotonic=time.monotonic())
        self._record.requests.append(request)
        request.fault = self._due(request, self._record.faults)
        return request, request.fault

    def spend(self) -> tuple[bool, dict[str, str]]:
        """Counts a request against the limit: whether it may pass, and the headers of its answer."""
        rate = self._limit
        if self.now >= rate.reset_at:
            rate.remaining, rate.reset_at = rate.limit, self.now + timedelta(hours=1)
        passes = rate.remaining > 0 or not rate.enforced
        rate.remaining = max(0, rate.remaining - 1)
        return passes, {
            "x-ratelimit-limit": str(rate.limit),
            # Only enforced limits run dry.
            "x-ratelimit-remaining": str(rate.remaining if rate.enforced else max(1, rate.remaining)),
            "x-ratelimit-reset": str(int(rate.reset_at.timestamp())),
            "x-ratelimit-resource": "core",
            "x-ratelimit-used": str(rate.limit - rate.remaining),
        }

    def limited_body(self) -> Any:
        return _body(403, None, self._limit.reset_at, spammed=False)

    @staticmethod
    def _due(request: Request, faults: Iterable[Fault]) -> Fault | None:
        for fault in faults:
            if fault.left == 0 or not request.matches(fault.pattern):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.left is not None:
                fault.left -= 1
            return fault
        return None


def error(status: int, message: str, **more: Any) -> dict[str, Any]:
    """An error as REST words it."""
    return {"message": message, **more, "documentation_url": "https://docs.github.com/rest", "status": str(status)}


def _body(status: int, retry_after: int | None, reset_at: datetime | None, spammed: bool) -> Any:
    if status in (403, 429):
        if retry_after is not None:
            return error(status, "You have exceeded a secondary rate limit. Please wait a few minutes.")
        if reset_at:
            return error(status, "API rate limit exceeded for user ID 9100001.")
    if status == 422:
        if spammed:
            return error(422, "Validation Failed", errors=[{"resource": "OauthApplication", "code": "spammed"}])
        return error(
            422, "Validation Failed", errors=[{"resource": "OauthAccess", "code": "invalid", "field": "access_token"}]
        )
    if status in (502, 503, 504):
        return UNICORN
    messages = {
        401: "Bad credentials",
        403: "Resource not accessible by integration",
        404: "Not Found",
        429: "Too Many Requests",
    }
    return error(status, messages.get(status, "Moved Permanently" if 300 <= status < 400 else "Server Error"))


def _headers(retry_after: int | None, reset_at: datetime | None, location: str | None) -> dict[str, str]:
    headers = {}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    if reset_at:
        headers |= {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(reset_at.timestamp()))}
    if location:
        headers["Location"] = location
    return headers
