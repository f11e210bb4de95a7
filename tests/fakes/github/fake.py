"""The fake itself: the state, served."""

import threading
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.fakes.github.applications import Applications
from tests.fakes.github.marketplace import Marketplace
from tests.fakes.github.server import Server
from tests.fakes.github.traffic import Traffic


class FakeGitHub(Marketplace, Applications, Traffic):
    """Serves from `__enter__` (or `start`) to `__exit__` (or `stop`), on a free port unless told.

    `clear()` makes it new again at the same address, which is quicker than a second one.
    """

    def __init__(self, *, port: int = 0, webhook_secret: str = "test-webhook-secret") -> None:  # noqa: S107
        super().__init__()
        self.webhook_secret = webhook_secret
        self.closing = threading.Event()
        self._server = Server(self, port)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        private = load_pem_private_key(self.private_key.encode(), password=None)
        public = private.public_key()
        assert isinstance(public, RSAPublicKey)
        self.public_key: RSAPublicKey = public

    @property
    def web_url(self) -> str:
        """Where browsers go: `/login/oauth/authorize` and `/login/oauth/access_token`."""
        return self.url

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
