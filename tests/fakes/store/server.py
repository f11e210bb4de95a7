"""The store, served: signatures first, then whatever it is told to do."""

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.fakes.store.behaviour import BEHAVIOURS, Reply, said
from tests.fakes.store.exporting import EXPORTINGS, LINES, Wanted, part
from tests.fakes.store.state import SECRET, Asked, Holdings

TOLERANCE = 300


class TestStore(Holdings):
    """Serves from `__enter__` to `__exit__`, on a free port unless told."""

    __test__ = False

    def __init__(self, name: str = "analytics", *, port: int = 0, secret: str = SECRET) -> None:
        self.name, self.secret = name, secret
        super().__init__()
        self._server = _server(self, port)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/erasures"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def clear(self) -> None:
        super().clear()
        #: How every request is answered; of one account otherwise, if it is listed in `exceptions`.
        self.behaves = "at_once"
        self.exceptions: dict[str, str] = {}
        #: Whether what is only accepted can be taken back.
        self.forgets = True
        #: How it hands out what it holds (`exporting`), who has asked for that, and whether it says that it can.
        self.exports_as = "in_body"
        self.wanted: dict[str, Wanted] = {}
        self.exports = False
        self.version = "3.1"
        self.describes = True
        self.forged = 0
        #: When each call came, by the monotonic clock, as (method, path, instant).
        self.calls: list[tuple[str, str, float]] = []
        self.at_once_now = 0
        self.most_at_once = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def configured(self, **more: Any) -> dict[str, Any]:
        """Its entry of `REMOTE_STORES`."""
        return {"name": self.name, "address": self.url, "secret": self.secret, "promised_days": 7, "rate": 500, **more}

    def posts(self) -> list[str]:
        """The paths of requests that were posted."""
        return [path for method, path, _at in self.calls if method == "POST"]

    # What it does with a call whose signature is right.

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        _root, _erasures, *rest = path.split("/")
        if method == "GET" and rest == ["discovery"]:
            return self._describe()
        if method == "POST" and not rest:
            message = json.loads(body)
            if message["type"] == "export.requested":
                return self._hand_out(message)
            asked = self.take(message)
            return self._behave(asked, polled=False)
        if rest and rest[0] in self.wanted:
            wanted = self.wanted[rest[0]]
            if rest[1:] == ["result"]:
                return Reply(200, part(self, wanted), headers=LINES)
            return EXPORTINGS[self.exports_as](self, wanted, True, self._root)
        found = self.requests.get(rest[0]) if rest else None
        if found is None:
            return Reply(404)
        if method == "DELETE":
            return self._forget(found)
        return self._behave(found, polled=True)

    def _behave(self, asked: Asked, *, polled: bool) -> Reply:
        with self.lock:
            return BEHAVIOURS[self.exceptions.get(asked.account, self.behaves)](self, asked, polled)

    @property
    def _root(self) -> str:
        return self.url.removesuffix("/erasures")

    def _hand_out(self, message: dict[str, Any]) -> Reply:
        data = message["data"]
        with self.lock:
            wanted = self.wanted.setdefault(data["request"], Wanted(data["request"], data["account"], message))
            return EXPORTINGS[self.exports_as](self, wanted, False, self._root)

    def _describe(self) -> Reply:
        if not self.describes:
            return Reply(404)
        told = {"name": self.name, "version": self.version, "takes_days": 3, "holds": ["events of accounts"]}
        return said(200, **told, exports=self.exports)

    def _forget(self, asked: Asked) -> Reply:
        if asked.done or not self.forgets:
            return Reply(409)
        with self.lock:
            asked.recalled = True
            del self.requests[asked.request]
        return Reply(202)

    # What it tells by itself.

    def report(self, request: object, **body: Any) -> tuple[bytes, dict[str, str]]:
        """A signed report, body and headers, to be posted to the product's door. Without a body: that it is done."""
        asked = self.requests[str(request)]
        if not body:
            left = self.erase(asked)
            body = {"status": "done", "erased": dict(asked.erased), "left": left}
        written = json.dumps(body).encode()
        return written, self.signed(str(request), written)

    def signed(self, message_id: str, body: bytes, *, at: float | None = None) -> dict[str, str]:
        """Headers of Standard Webhooks, made by hand."""
        second = str(int(time.time() if at is None else at))
        return {
            "webhook-id": message_id,
            "webhook-timestamp": second,
            "webhook-signature": _signature(self.secret, message_id, second, body),
        }

    def is_genuine(self, headers: Any, body: bytes) -> bool:
        message_id, second = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not second.isdigit() or abs(time.time() - int(second)) > TOLERANCE:
            return False
        expected = _signature(self.secret, message_id, second, body)
        return any(hmac.compare_digest(one, expected) for one in headers.get("webhook-signature", "").split(" "))


def _signature(secret: str, message_id: str, second: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{second}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _server(store: TestStore, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_DELETE(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.path.startswith("/_control/"):
                self._write(control(store, self.path.removeprefix("/_control/"), body))
                return
            with store.lock:
                store.calls.append((self.command, self.path, time.monotonic()))
                store.at_once_now += 1
                store.most_at_once = max(store.most_at_once, store.at_once_now)
            try:
                if store.is_genuine(self.headers, body):
                    reply = store.answer(self.command, self.path, body)
                else:
                    store.forged += 1
                    reply = Reply(401)
                self._write(reply)
            except (BrokenPipeError, ConnectionResetError):
                # Whoever asked has given up.
                self.close_connection = True
            finally:
                with store.lock:
                    store.at_once_now -= 1

        def _write(self, reply: Reply) -> None:
            if reply.cut:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            if not reply.drip:
                self.wfile.write(reply.body)
                return
            for place in range(len(reply.body)):
                self.wfile.write(reply.body[place : place + 1])
                self.wfile.flush()
                time.sleep(reply.drip)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def control(store: TestStore, verb: str, body: bytes) -> Reply:
    """What somebody at a terminal may tell it: see `python -m tests.fakes.store`."""
    told = json.loads(body or b"{}")
    if verb == "behave":
        if told["as"] not in BEHAVIOURS:
            return said(400, known=sorted(BEHAVIOURS))
        if "account" in told:
            store.exceptions[str(uuid.UUID(told["account"]))] = told["as"]
        else:
            store.behaves = told["as"]
    elif verb == "put":
        taken = store.put(told["account"], told.get("kind", "documents"), told.get("text", ""))
        return said(200 if taken else 409, left=store.left_of(told["account"]))
    elif verb != "state":
        return Reply(404)
    asked = [{"request": one.request, "account": one.account, "done": one.done} for one in store.requests.values()]
    return said(200, behaves=store.behaves, exceptions=store.exceptions, records=len(store.records), requests=asked)
