"""What was asked of this Stripe, and what it must fail at.

A pattern is a method and a path, with `*` for anything: "POST /v1/subscriptions/*", "DELETE *",
"GET /v1/subscriptions?*starting_after*".
"""

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from tests.fakes.stripe.deliveries import Deliveries
from tests.fakes.stripe.spec import Json


@dataclass(eq=False)
class Request:
    """A request that came in. `status` is None as long as, or if, nothing was answered."""

    method: str
    path: str
    query: str
    form: Json
    idempotency_key: str | None
    key: str
    version: str | None
    at: datetime
    #: Seconds of this machine, to measure how many came at once.
    monotonic: float
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    fault: "Fault | None" = None
    #: False if a fault came before the work, or an earlier answer was said again.
    carried_out: bool = False

    def matches(self, pattern: str) -> bool:
        line = f"{self.method} {self.path}"
        return fnmatchcase(line, pattern) or bool(self.query and fnmatchcase(f"{line}?{self.query}", pattern))

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status or 'no answer'}"


@dataclass(eq=False)
class Fault:
    """One way to fail. See `Traffic.fail`."""

    pattern: str
    left: int | None
    skip: int = 0
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: float | None = None
    disconnect: bool = False
    garbled: bool = False
    wrong_mode: bool = False
    stale: bool = False
    slow: float = 0
    carried_out: bool = False


class Traffic(Deliveries):
    def clear(self) -> None:
        super().clear()
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        #: Seconds that every answer takes.
        self.latency = 0.0
        #: More than this many in any second are answered with 429; None: no limit.
        self.calls_per_second: int | None = None
        self._recent: deque[float] = deque()
        #: How many 429 the limit has caused: a client that paces itself causes none.
        self.over_limit = 0

    def requested(self, pattern: str = "*") -> list[Request]:
        return [request for request in self.requests if request.matches(pattern)]

    def count(self, pattern: str = "*") -> int:
        return len(self.requested(pattern))

    def changes(self) -> list[Request]:
        """What was asked that changes something, and was carried out."""
        return [request for request in self.requests if request.method != "GET" and request.carried_out]

    def forget_requests(self) -> None:
        self.requests.clear()

    def fail(
        self,
        pattern: str = "*",
        status: int | None = None,
        *,
        times: int | None = 1,
        skip: int = 0,
        code: str | None = None,
        message: str | None = None,
        reason: str | None = None,
        should_retry: bool | None = None,
        location: str | None = None,
        hang: float | None = None,
        disconnect: bool = False,
        garbled: bool = False,
        wrong_mode: bool = False,
        stale: bool = False,
        slow: float = 0,
        carried_out: bool = False,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Fault:
        """The next `times` (None: all, until `heal`) matching requests fail, after `skip` that don't.

        - `status` alone answers with Stripe's usual body: 400, 401, 402, 403, 404, 409, 429, 5xx
        - 429 with `reason` has the header `Stripe-Rate-Limited-Reason` ("global-rate", "endpoint-concurrency" ...);
          with `code="lock_timeout"`, the other meaning of 429
        - `should_retry` is the header `Stripe-Should-Retry`
        - 301, 302, 307, 308 need a `location`
        - `hang` holds the connection that many seconds and closes it; `disconnect` resets it at once
        - `slow` answers rightly, so many seconds late
        - `garbled` is a 200 whose body is cut-off JSON
        - `wrong_mode` answers with objects of the other mode
        - `stale` answers a read as it was when the fault was made
        - `carried_out` does the work first, so that only the answer is lost or wrong
        """
        if status in (301, 302, 307, 308) and not location:
            raise ValueError(f"A {status} needs a location")
        told = dict(headers or {})
        if location:
            told["Location"] = location
        if reason:
            told["Stripe-Rate-Limited-Reason"] = reason
        if should_retry is not None:
            told["Stripe-Should-Retry"] = "true" if should_retry else "false"
        if status and body is None:
            body = _body(status, code, message)
        fault = Fault(
            pattern, times, skip, status, body, told, hang, disconnect, garbled, wrong_mode, stale, slow, carried_out
        )
        if stale:
            self.keep_picture(fault)
        self._faults.append(fault)
        return fault

    def keep_picture(self, fault: Fault) -> None:
        """For the routes."""

    def away(self) -> Fault:
        """Every connection is reset until healed."""
        return self.fail("*", times=None, disconnect=True)

    def heal(self, *faults: Fault) -> None:
        """These faults end; without any, all do."""
        self._faults = [known for known in self._faults if faults and known not in faults]

    def record(self, request: Request) -> Fault | None:
        self.requests.append(request)
        for fault in self._faults:
            if fault.left == 0 or not request.matches(fault.pattern):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.left is not None:
                fault.left -= 1
            request.fault = fault
            return fault
        return None

    def spend(self) -> bool:
        """Whether this call is within the limit of this second."""
        if self.calls_per_second is None:
            return True
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if len(self._recent) >= self.calls_per_second:
            self.over_limit += 1
            return False
        self._recent.append(now)
        return True

    def busiest_second(self) -> int:
        """The most calls that came within any one second."""
        most, begin = 0, 0
        times = [request.monotonic for request in self.requests]
        for end, moment in enumerate(times):
            while times[begin] <= moment - 1:
                begin += 1
            most = max(most, end - begin + 1)
        return most


def _body(status: int, code: str | None, message: str | None) -> Any:
    if status in (502, 503, 504) and not code:
        return "<html><head><title>Service unavailable</title></head><body>upstream</body></html>"
    kinds = {
        400: ("invalid_request_error", code, "This request is not valid."),
        401: ("invalid_request_error", code, "Invalid API Key provided: sk_test_****"),
        402: ("card_error", code or "card_declined", "Your card was declined."),
        403: ("invalid_request_error", code, "The provided key does not have the required permissions."),
        404: ("invalid_request_error", code or "resource_missing", "No such object"),
        409: ("idempotency_error", code or "idempotency_key_in_use", "There is currently another in-progress request."),
        429: ("invalid_request_error", code or "rate_limit", "Too many requests hit the API too quickly."),
    }
    if code == "lock_timeout":
        kinds[429] = (
            "invalid_request_error",
            code,
            "This object cannot be accessed right now because another API request or Stripe process is currently "
            "accessing it.",
        )
    type, known, words = kinds.get(status, ("api_error", code, "An unknown error occurred"))
    error: Json = {"type": type, "message": message or words}
    if known:
        error["code"] = known
    return {"error": error}
