"""The receivers of docs/receivers/ run as they stand there, hear what is sent, and believe nobody else.

Python, Node and a shell with openssl: implementations of the signature that know nothing of ours. None may be passed
over in silence: where a program is missing the test fails, and says what to install.
"""

import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project

from accounts.core import clock
from accounts.events import managing, replaying
from accounts.events.dispatch import Dispatch
from accounts.events.endpoint import Endpoint
from accounts.events.sending import send_due
from accounts.models import Account
from accounts.outgoing.client import call
from accounts.outgoing.signing import make_secret, signed
from tests.accounts.events.hearing import SYSTEM, hears, tell

pytestmark = pytest.mark.django_db
FOLDER = Path(project.BASE_DIR) / "docs" / "receivers"


class Heard:
    """Where it listens, and what it says that it has heard."""

    def __init__(self, port: int, file: Path) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self._file = file

    @property
    def lines(self) -> list[str]:
        return self._file.read_text().splitlines()


def _needed(program: str, package: str) -> str:
    found = shutil.which(program)
    assert found, f"{program} is not there: install {package} (Debian), or this receiver is not tried"
    return found


@contextmanager
def _process(command: list[str], secret: str, folder: Path) -> Iterator[Heard]:
    """A receiver that listens by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "SECRET": secret, "PORT": str(port)}
    file = folder / "heard"
    with (
        file.open("w") as heard,
        subprocess.Popen(
            command, cwd=FOLDER, env=environment, stdout=heard, stderr=subprocess.PIPE, text=True
        ) as running,
    ):
        try:
            assert running.stderr
            assert running.stderr.readline().strip() == f"listening on {port}"
            yield Heard(port, file)
        finally:
            running.terminate()


@contextmanager
def _inetd(command: list[str], secret: str, folder: Path) -> Iterator[Heard]:
    """A receiver that is started for each call, with the connection as its input and output."""
    file, seen = folder / "heard", folder / "seen"
    file.touch()
    environment = {**os.environ, "SECRET": secret, "LOG": str(file), "SEEN": str(seen)}

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            subprocess.run(command, cwd=FOLDER, env=environment, stdin=self.request, stdout=self.request, check=True)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Heard(server.server_address[1], file)
        finally:
            server.shutdown()
            thread.join()


def python(secret: str, folder: Path) -> Any:
    return _process([_needed("python3", "python3"), "receiver.py"], secret, folder)


def node(secret: str, folder: Path) -> Any:
    return _process([_needed("node", "nodejs"), "receiver.mjs"], secret, folder)


def shell(secret: str, folder: Path) -> Any:
    _needed("openssl", "openssl")
    return _inetd([_needed("bash", "bash"), "receiver.sh"], secret, folder)


@pytest.mark.parametrize("start", [python, node, shell])
def test_a_receiver_of_the_documents_hears_verifies_and_knows_what_it_has_had(
    start: Callable[[str, Path], Any], account: Account, settings: Any, tmp_path: Path
) -> None:
    settings.OUTGOING_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    old, new, at = make_secret(), make_secret(), clock.now()
    # It knows the new one alone; both sign.
    with start(f"{make_secret()},{new}", tmp_path) as receiver:
        endpoint, _secret = hears(receiver.url, secret=old, at=at)
        managing.rotate(endpoint, secret=new, by=SYSTEM, at=at)
        managing.test(endpoint, by=SYSTEM, at=at)
        assert send_due(at) == 1, Dispatch.objects.get().last_error
        for name in ("account.erasing", "account.erased"):
            tell(account.pk, name=name, at=at)
        assert send_due(at) == 2
        again = Dispatch.objects.exclude(message=None).earliest("pk")
        replaying.replay(again, by=SYSTEM, at=at)
        assert send_due(at) == 1
        assert again.message
        assert receiver.lines == [
            f"endpoint.test {'None' if start is python else 'null'}",
            "account.erasing 1",
            "account.erased 2",
            f"again {again.message.webhook_id}",
        ]
        # Whoever does not know the secret, or has kept a message for six minutes, is believed by nobody.
        Endpoint.objects.update(previous_secret=None, previous_until=None)
        managing.rotate(endpoint, by=SYSTEM, at=at - timedelta(days=2))
        Endpoint.objects.update(previous_until=at - timedelta(days=1))
        tell(account.pk, at=at)
        assert send_due(at) == 0
        assert Dispatch.objects.latest("pk").status == 401
        body = b'{"type":"account.erased","data":{"sequence":9}}'
        late = signed("late", body, keys=[new], at=clock.now() - timedelta(minutes=6))
        assert call("POST", receiver.url, body=body, headers=late).status == 401
        fresh = signed("fresh", body, keys=[new], at=clock.now())
        assert call("POST", receiver.url, body=body + b" ", headers=fresh).status == 401
        assert call("POST", receiver.url, body=body).status in (400, 401)
        assert len(receiver.lines) == 4
