"""Somebody who is called, over HTTP or HTTPS: remembers what came, and answers as they are told, however badly."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """A request as it came; headers by their names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Seconds before the first byte, and between any two bytes of the body.
    wait: float = 0.0
    drip: float = 0.0
    #: The connection is closed instead.
    vanish: bool = False


@dataclass
class Receiver:
    url: str = ""
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    #: How many connections were made.
    connections: int = 0
    #: What the next ones get, in order; after them whoever asks gets `answer`.
    replies: list[Reply] = field(default_factory=list)
    answer: Callable[[Call], Reply] = lambda _call: Reply()

    def reply(self, *replies: Reply | int) -> None:
        self.replies += [Reply(reply) if isinstance(reply, int) else reply for reply in replies]

    @property
    def ids(self) -> Sequence[str]:
        return [call.headers["webhook-id"] for call in self.calls]


@contextmanager
def receiver(*, certificate: Path | None = None, address: str = "127.0.0.1") -> Iterator[Receiver]:
    """It runs until the block ends. `certificate`: a file with key and chain; then it speaks https."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else each answer waits for the other side's acknowledgement of its headers.
        wbufsize = -1

        def setup(self) -> None:
            state.connections += 1
            super().setup()

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.command, self.path, headers, body)
            state.calls.append(call)
            reply = state.replies.pop(0) if state.replies else state.answer(call)
            time.sleep(reply.wait)
            if reply.vanish:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in [reply.body[at : at + 1] for at in range(len(reply.body))] if reply.drip else [reply.body]:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(reply.drip)

        do_POST = do_GET = do_PUT = respond  # noqa: N815  # the library's names

        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True  # the caller has had enough

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = Server((address, 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    host = f"[{address}]" if ":" in address else address
    state.url = f"{'https' if certificate else 'http'}://{host}:{state.port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
