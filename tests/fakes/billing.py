"""A vendor's own billing, over HTTP: it checks signatures by itself, remembers, and answers as it is told."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_" + base64.b64encode(b"a billing secret of 32 letters!!").decode()


class Billing:
    """What it was asked, and how it answers next: a status with a body, headers beside."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.ids: list[str] = []
        #: Requests whose signature or time was wrong.
        self.forged = 0
        self.answer: tuple[int, str] | None = None
        self.headers: dict[str, str] = {}
        self.slow = 0.0
        self.url = ""

    def answer_to(self, asked: dict[str, Any]) -> tuple[int, str]:
        if self.answer is not None:
            return self.answer
        ends = asked["type"] == "billing.stop_requested"
        return 200, json.dumps({"stopped_from": asked["data"]["next_charge_at"] if ends else None})


def _is_genuine(headers: Any, body: bytes) -> bool:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return fresh and expected in headers["webhook-signature"].split(" ")


@contextmanager
def billing() -> Iterator[Billing]:
    """It runs until the block ends."""
    state = Billing()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if not _is_genuine(self.headers, body):
                state.forged += 1
                self.send_error(401)
                return
            asked = json.loads(body)
            state.asked.append(asked)
            state.ids.append(self.headers["webhook-id"])
            time.sleep(state.slow)
            status, said = state.answer_to(asked)
            self.send_response(status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(said.encode())))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/billing"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
