"""HTTP: reads a request, lets a fault have it or asks the endpoint, and answers. On 127.0.0.1 only."""

import json
import os
import socket
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.github import control, routes, sign_in
from tests.fakes.github.calls import Answer, Call
from tests.fakes.github.traffic import Fault, error

if TYPE_CHECKING:
    from tests.fakes.github.fake import FakeGitHub

# What GitHub Enterprise has before every REST path; django-allauth asks there when GITHUB_URL is set.
ENTERPRISE_PREFIX = "/api/v3"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # A burst of connections waits rather than being refused.
    request_queue_size = 128

    def __init__(self, github: "FakeGitHub", port: int) -> None:
        self.github = github
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here; a mistake of the fake is answered with 500 by the handler."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "GitHub.com"
    sys_version = ""
    # Headers and body in one packet, at once: with Nagle's algorithm each answer could wait 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: tests look at `requests`."""

    def _handle(self) -> None:
        github = self.server.github
        call = self._read()
        if not call:
            self._write(Answer(400, error(400, "Problems parsing JSON")))
            return
        if call.path.startswith("/_control"):
            self._write(control.respond(github, call))
            return
        with github.lock:
            request, fault = github.record(
                method=call.method, path=call.path, query=call.query, auth=call.auth, subject=call.subject
            )
            answer, request.carried_out = self._answer(github, call, fault)
        if fault and (fault.hang is not None or fault.disconnect):
            if fault.hang:
                github.closing.wait(fault.hang)
            self._hang_up(reset=fault.disconnect)
            return
        request.status = answer.status
        self._write(answer, cut_off=bool(fault and fault.garbled))

    def _answer(self, github: "FakeGitHub", call: Call, fault: Fault | None) -> tuple[Answer, bool]:
        """The answer, and whether the endpoint was asked."""
        web = call.path.startswith("/login/")
        endpoints = sign_in.endpoints if web else routes.endpoints
        passes, headers = (True, {}) if web else github.spend()
        if fault:
            if fault.carried_out:
                endpoints.respond(github, call)
            return Answer(fault.status, fault.body, {**headers, **fault.headers}), fault.carried_out
        if not passes:
            return Answer(403, github.limited_body(), headers), False
        if not web and not self.headers.get("User-Agent"):
            message = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header"
            return Answer(403, error(403, message), headers), False
        answer = endpoints.respond(github, call)
        return Answer(answer.status, answer.body, {**headers, **answer.headers}), True

    def _read(self) -> Call | None:
        """The request; None if its JSON is none."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        split = urlsplit(self.path)
        body: Any = None
        # curl -d says "form" also of the JSON that a person types for the control.
        form = "form-urlencoded" in self.headers.get("Content-Type", "") and not split.path.startswith("/_control")
        if raw and form:
            body = {name: values[-1] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
        elif raw:
            try:
                body = json.loads(raw)
            except ValueError:
                return None
        return Call(
            method=self.command,
            path=split.path.removeprefix(ENTERPRISE_PREFIX) or "/",
            query=split.query,
            authorization=self.headers.get("Authorization", ""),
            accept=self.headers.get("Accept", ""),
            body=body,
        )

    def _write(self, answer: Answer, *, cut_off: bool = False) -> None:
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body, ensure_ascii=False)
        body = b"" if answer.status in (204, 304) else text.encode()
        if cut_off:
            body = body[: len(body) // 2].rstrip(b"}]") or b"{"
        headers = dict(answer.headers)
        markup = text.startswith("<")
        if body:
            headers.setdefault("Content-Type", f"{'text/html' if markup else 'application/json'}; charset=utf-8")
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status != 204:
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
