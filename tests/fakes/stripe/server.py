"""HTTP: reads a request, lets a fault have it or asks the endpoint, and answers. On 127.0.0.1 only."""

import base64
import json
import os
import socket
import struct
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.stripe import clocks, control, leftovers, pages, routes  # noqa: F401  # what is imported is answered for
from tests.fakes.stripe.calls import Answer, Call
from tests.fakes.stripe.spec import VERSION, Json, form
from tests.fakes.stripe.traffic import Fault, Request

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe

#: A key is remembered this long, by the fake's clock.
KEY_LIVES = 24 * 3600
LIMITED = {
    "error": {
        "type": "invalid_request_error",
        "code": "rate_limit",
        "message": "Request rate limit exceeded. Learn more about rate limits here: https://stripe.com/docs/rate-limits.",
    }
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # A burst of connections waits rather than being refused.
    request_queue_size = 128

    def __init__(self, stripe: "FakeStripe", port: int) -> None:
        self.stripe = stripe
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here; a mistake of the fake is answered with 500 by the handler."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "nginx"
    sys_version = ""
    # Headers and body in one packet, at once: with Nagle's algorithm each answer could wait 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_DELETE = do_GET  # noqa: N815  # the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: tests look at `requests`."""

    def _handle(self) -> None:
        stripe = self.server.stripe
        call = self._read()
        if call.path.startswith("/_control"):
            self._write(control.respond(stripe, call))
            return
        if not call.path.startswith("/v1/"):
            self._write(pages.respond(stripe, call))
            return
        with stripe.lock:
            request = _noted(stripe, call)
            fault = stripe.record(request)
            within = stripe.spend()
        if wait := stripe.latency + (fault.slow if fault else 0):
            with stripe.in_flight(call) as free:
                stripe.closing.wait(wait)
                answer = self._answered(stripe, call, request, fault, within) if free else _in_flight()
        else:
            answer = self._answered(stripe, call, request, fault, within)
        if fault and (fault.hang is not None or fault.disconnect):
            if fault.hang:
                stripe.closing.wait(fault.hang)
            self._hang_up(reset=fault.disconnect)
            return
        request.status = answer.status
        self._write(answer, cut_off=bool(fault and fault.garbled))
        stripe.tell()

    def _answered(
        self, stripe: "FakeStripe", call: Call, request: Request, fault: Fault | None, within: bool
    ) -> Answer:
        with stripe.lock:
            stripe.asking = {"id": stripe.new_id("req"), "idempotency_key": call.idempotency_key}
            try:
                answer = self._answer(stripe, call, request, fault, within)
            finally:
                headers = {
                    "Request-Id": stripe.asking["id"],
                    "Stripe-Version": call.version or VERSION,
                    **({"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {}),
                }
                stripe.asking = {"id": None, "idempotency_key": None}
        return Answer(answer.status, answer.body, headers | answer.headers)

    def _answer(self, stripe: "FakeStripe", call: Call, request: Request, fault: Fault | None, within: bool) -> Answer:
        if not within:
            return Answer(429, LIMITED, {"Stripe-Rate-Limited-Reason": "global-rate"})
        plain = not fault or (fault.status is None and not fault.disconnect and fault.hang is None)
        if fault and not plain:
            told = Answer(fault.status or 500, fault.body, fault.headers)
            if fault.carried_out:
                request.carried_out = True
                self._kept(stripe, call, request)
            elif call.idempotency_key and fault.status and fault.status >= 500:
                # What a server error has answered under a key, it answers again.
                self._kept(stripe, call, request, told)
            return told
        if fault and fault.stale:
            with stripe.looking_back(fault):
                request.carried_out = True
                return routes.respond(stripe, call)
        answer = self._kept(stripe, call, request)
        if fault and fault.wrong_mode:
            return Answer(answer.status, _other_mode(answer.body), answer.headers | fault.headers)
        return Answer(answer.status, answer.body, answer.headers | (fault.headers if fault else {}))

    def _kept(self, stripe: "FakeStripe", call: Call, request: Request, instead: Answer | None = None) -> Answer:
        """The same key and body: the same answer, and nothing is done. DELETE and GET know no keys."""
        key = call.idempotency_key
        if call.method != "POST" or not key:
            answer = instead or routes.respond(stripe, call)
            request.carried_out = not instead and answer.status < 300
            return answer
        print_ = sha256(f"{call.path}\n".encode() + call.raw).hexdigest()
        former = stripe.keys.get((call.key, key))
        if former and former[0] > stripe._now - KEY_LIVES:
            if former[1] != print_:
                message = (
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                    f"Try using a key other than '{key}' if you meant to execute a different request."
                )
                return Answer(400, {"error": {"type": "idempotency_error", "message": message}})
            return Answer(former[2].status, former[2].body, {**former[2].headers, "Idempotent-Replayed": "true"})
        answer = instead or routes.respond(stripe, call)
        request.carried_out = not instead and answer.status < 300
        # Refused parameters and rate limits leave nothing behind.
        if answer.status < 300 or answer.status == 402 or answer.status >= 500:
            stripe.keys[call.key, key] = (stripe._now, print_, answer)
        return answer

    def _read(self) -> Call:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        split = urlsplit(self.path)
        text = raw.decode("utf-8", "replace")
        given: Json
        if split.path.startswith("/_control"):
            try:
                given = json.loads(text) if text.strip() else {}
            except ValueError:
                given = {}
        else:
            asked = parse_qsl(split.query, keep_blank_values=True)
            sent = parse_qsl(text, keep_blank_values=True)
            given = form(asked if self.command == "GET" else [*asked, *sent])
        return Call(
            method=self.command,
            path=split.path,
            query=split.query,
            given=given,
            raw=raw,
            key=_key(self.headers.get("Authorization", "")),
            idempotency_key=self.headers.get("Idempotency-Key"),
            version=self.headers.get("Stripe-Version"),
            headers=dict(self.headers.items()),
        )

    def _write(self, answer: Answer, *, cut_off: bool = False) -> None:
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body, ensure_ascii=False)
        body = text.encode()
        if cut_off:
            body = body[: len(body) // 2].rstrip(b"}]") or b"{"
        headers = dict(answer.headers)
        kind = "text/html" if text.startswith("<") else "application/json"
        headers.setdefault("Content-Type", f"{kind}; charset=utf-8")
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            # Closed with nothing to linger for, the kernel sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())


def _noted(stripe: "FakeStripe", call: Call) -> Request:
    return Request(
        method=call.method,
        path=call.path,
        query=call.query,
        form=call.given,
        idempotency_key=call.idempotency_key,
        key=call.key,
        version=call.version,
        at=stripe.now,
        monotonic=monotonic(),
        headers=call.headers,
    )


def _in_flight() -> Answer:
    message = "There is currently another in-progress request using this Idempotent Key."
    error = {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": message}
    return Answer(409, {"error": error})


def _key(authorization: str) -> str:
    """A key as a bearer's, or as the name of a user without a password."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except ValueError:
            return ""
    return value


def _other_mode(thing: Any) -> Any:
    if isinstance(thing, list):
        return [_other_mode(one) for one in thing]
    if isinstance(thing, dict):
        return {name: (not value) if name == "livemode" else _other_mode(value) for name, value in thing.items()}
    return thing
