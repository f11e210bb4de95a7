"""HTTP: reads a request, lets a fault have it or asks the operation, and answers. On 127.0.0.1 only."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.fakes.aws import control, operations, protocols
from tests.fakes.aws.protocols import ApiCall, Failed, Malformed, Response

if TYPE_CHECKING:
    from tests.fakes.aws.fake import FakeAWS


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, aws: "FakeAWS", port: int) -> None:
        self.aws = aws
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Server"
    sys_version = ""
    # Headers and body in one packet, at once: with Nagle's algorithm each answer could wait 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: tests look at `requests`."""

    def _handle(self) -> None:
        aws = self.server.aws
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        aws.look_at_the_clock()
        if path.startswith("/_control"):
            self._write(control.respond(aws, self.command, path, query, body))
            return
        try:
            call = protocols.read(path, {name.title(): value for name, value in self.headers.items()}, body)
        except Malformed as mistake:
            aws.malformed.append(str(mistake))
            self._write(Response(400, f'{{"__type":"ValidationException","message":"{mistake}"}}'.encode()))
            return
        with aws.lock:
            name = call.name if call else f"{self.command} {path}"
            request, fault = aws.record(name, call.arguments if call else {})
        if fault and fault.hang is not None:
            aws.closing.wait(fault.hang)
            self.close_connection = True
            return
        if fault and fault.slow:
            aws.closing.wait(fault.slow)
        with aws.lock:
            answer = self._fail(fault, call) if fault and not fault.slow else self._answer(aws, call, path)
        request.status = answer.status
        self._write(answer)

    def _answer(self, aws: "FakeAWS", call: ApiCall | None, path: str) -> Response:
        if call is None:
            pem = aws.certificates.get(path) if self.command == "GET" else None
            if pem is None:
                return Response(404, b"Not Found", {"Content-Type": "text/plain"})
            return Response(200, pem, {"Content-Type": "application/x-pem-file"})
        try:
            return protocols.answer(call, operations.perform(aws, call))
        except Failed as failed:
            return protocols.failure(call, failed)

    def _fail(self, fault: Any, call: ApiCall | None) -> Response:
        if call and fault.code:
            said = "Rate exceeded" if fault.code == "ThrottlingException" else "As the test asked"
            return protocols.failure(call, Failed(fault.code, said, fault.status))
        return Response(fault.status or 500, fault.body or b"", fault.headers)

    def _write(self, answer: Response) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()
