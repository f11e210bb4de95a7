"""What was asked of the fake, and what it must fail at.

A pattern is what a request is called, with `*` for anything: a call by service and operation
("marketplace-agreement.DescribeAgreement", "marketplace-entitlement.*"), anything else by method and path
("GET /SimpleNotificationService-*.pem").
"""

import time
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from tests.fakes.aws.protocols import Json
from tests.fakes.aws.state import World


@dataclass(eq=False)
class Request:
    """A request that came in. `status` is None as long as, or if, nothing was answered."""

    name: str
    arguments: Json
    at: datetime  # the fake's `now`
    monotonic: float  # seconds of this machine
    status: int | None = None

    def matches(self, pattern: str) -> bool:
        return fnmatchcase(self.name, pattern)

    def __str__(self) -> str:
        return f"{self.name} -> {self.status or 'no answer'}"


@dataclass(eq=False)
class Fault:
    """One way to fail. See `Traffic.fail`."""

    pattern: str
    code: str
    status: int | None
    left: int | None  # None: until `heal`
    skip: int
    hang: float | None
    slow: float
    garbled: bool
    body: bytes | None
    headers: dict[str, str]


@dataclass
class _Record:
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class Traffic(World):
    def clear(self) -> None:
        super().clear()
        self._record = _Record()
        #: Of lists: how many rows a page has at most, and how many empty ones come before each.
        self.page_size = 25
        self.empty_pages = 0

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

    def fail(
        self,
        pattern: str,
        code: str = "",
        *,
        status: int | None = None,
        times: int | None = 1,
        skip: int = 0,
        hang: float | None = None,
        slow: float = 0,
        garbled: bool = False,
        location: str | None = None,
        body: bytes | None = None,
    ) -> Fault:
        """The next `times` (None: all) matching requests fail, after `skip` that don't.

        - `code` answers with that error of the service, with the status of its model or `status`:
          ThrottlingException, InternalServiceErrorException, DisabledApiException, AccessDeniedException …
        - `status` alone answers with it and an empty body; with `location`, a redirect
        - `hang` holds the connection that many seconds and closes it; `slow` answers rightly, but later
        - `garbled` is a 200 of bytes that mean nothing; `body` replaces what would be sent
        """
        chosen = 200 if garbled or (body is not None and status is None) else status
        if not (code or chosen or hang is not None or slow):
            chosen = 500
        fault = Fault(
            pattern=pattern,
            code=code,
            status=chosen,
            left=times,
            skip=skip,
            hang=hang,
            slow=slow,
            garbled=garbled,
            body=b"\xff\x00garbage" if garbled else body,
            headers={"Location": location} if location else {},
        )
        self._record.faults.append(fault)
        return fault

    def heal(self, *faults: Fault) -> None:
        """These faults end; without any, all do."""
        kept = [known for known in self._record.faults if faults and known not in faults]
        self._record.faults = kept

    def record(self, name: str, arguments: Json) -> tuple[Request, Fault | None]:
        request = Request(name, arguments, at=self.now, monotonic=time.monotonic())
        self._record.requests.append(request)
        return request, self._due(request)

    def _due(self, request: Request) -> Fault | None:
        for fault in self._record.faults:
            if fault.left == 0 or not request.matches(fault.pattern):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.left is not None:
                fault.left -= 1
            return fault
        return None
