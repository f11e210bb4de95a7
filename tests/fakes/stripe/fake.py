"""The fake itself: the state, served."""

import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.stripe.calls import Answer, Call
from tests.fakes.stripe.server import Server
from tests.fakes.stripe.spec import document
from tests.fakes.stripe.state import KINDS
from tests.fakes.stripe.traffic import Fault, Traffic

#: What outlives a process.
KEPT = (
    *KINDS.values(),
    "_now",
    "_numbers",
    "_due",
    "run",
    "behaviour",
    "pending",
    "bought",
    "former",
    "undelivered",
    "running",
)


class FakeStripe(Traffic):
    """Serves from `__enter__` (or `start`) to `__exit__` (or `stop`), on a free port unless told.

    `clear()` makes it new again at the same address, which is quicker than a second one.
    """

    def __init__(self, *, port: int = 0) -> None:
        super().__init__()
        self.closing = threading.Event()
        document()
        self._server = Server(self, port)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def clear(self) -> None:
        super().clear()
        self.api_key = "sk_test_fake"
        self.account_id = "acct_1Fake"
        #: Restricted keys and what they may: {"rk_test_…": {"subscription": "write", "invoice": "read"}}.
        self.restricted: dict[str, dict[str, str]] = {}
        self.revoked: set[str] = set()
        #: Answers kept by key: when, of which request, what.
        self.keys: dict[tuple[str, str], tuple[int, str, Answer]] = {}
        #: Whether waiting events are posted to `webhook_url` by themselves, after each call.
        self.tells = False
        #: Whether the clock is this machine's; and how many seconds it is ahead.
        self.runs, self.ahead = False, 0
        self._busy_keys: set[tuple[str, str]] = set()
        self._pictures: dict[int, dict[str, Any]] = {}
        self._telling = threading.Lock()

    def live(self) -> None:
        """From now on the account's live mode: other key, other `livemode`."""
        self.livemode, self.api_key = True, "sk_live_fake"

    @contextmanager
    def in_flight(self, call: Call) -> Iterator[bool]:
        """Whether no other request with this key is being answered."""
        key = (call.key, call.idempotency_key or "")
        free = not call.idempotency_key or key not in self._busy_keys
        if free and call.idempotency_key:
            self._busy_keys.add(key)
        try:
            yield free
        finally:
            if free:
                self._busy_keys.discard(key)

    def keep_picture(self, fault: Fault) -> None:
        with self.lock:
            self._pictures[id(fault)] = {kind: deepcopy(getattr(self, kind)) for kind in KINDS.values()}

    @contextmanager
    def looking_back(self, fault: Fault) -> Iterator[None]:
        now = {kind: getattr(self, kind) for kind in KINDS.values()}
        try:
            self.__dict__.update(self._pictures[id(fault)])
            yield
        finally:
            self.__dict__.update(now)

    def tell(self) -> None:
        """Posts what waits, in a thread of its own: our endpoint may ask back before it answers."""
        if self.tells and self.webhook_url and self.waiting:
            threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        with self._telling:
            self.deliver()

    def run_by_this_machine(self) -> None:
        """Time passes by itself from now on: whoever serves it calls `keep_time` now and then."""
        self.runs = True
        self.ahead = max(self.ahead, self._now - int(time.time())) if self.events else 0
        self._now = max(self._now, int(time.time())) if self.events else int(time.time())

    def keep_time(self) -> None:
        with self.lock:
            self.advance(max(self._now, int(time.time()) + self.ahead))
        self.tell()

    def save(self, file: Path) -> None:
        with self.lock:
            file.write_bytes(pickle.dumps({name: self.__dict__[name] for name in KEPT}))

    def load(self, file: Path) -> None:
        """What `save` wrote, by this program for itself."""
        self.__dict__.update(pickle.loads(file.read_bytes()))  # noqa: S301  # as above

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
