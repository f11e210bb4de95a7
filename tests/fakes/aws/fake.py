"""The fake itself: the state, served."""

import threading
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import boto3

from tests.fakes.aws.control import Desk
from tests.fakes.aws.marketplace import Marketplace
from tests.fakes.aws.server import Server
from tests.fakes.aws.state import REGION
from tests.fakes.aws.traffic import Traffic


class FakeAWS(Marketplace, Traffic):
    """Serves from `__enter__` (or `start`) to `__exit__` (or `stop`), on a free port unless told.

    `clear()` makes it new again at the same address, which is quicker than a second one.
    """

    def __init__(self, *, port: int = 0) -> None:
        super().__init__()
        self.closing = threading.Event()
        self.desk = Desk()
        #: Where `now` comes from when it is played by hand.
        self.clock: Callable[[], datetime] | None = None
        self._server = Server(self, port)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def clear(self) -> None:
        super().clear()
        #: Calls that were none of AWS's, or that its models forbid: a mistake of the product.
        self.malformed: list[str] = []
        self.spelling, self.spaced, self.signature_version = "new", False, "1"
        self.bare_license_arns, self.newer_events = False, True

    def look_at_the_clock(self) -> None:
        if self.clock:
            self.now = self.clock()

    def client(self, service: str) -> Any:
        """A client of boto3 that asks the fake."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="test",
        )

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
