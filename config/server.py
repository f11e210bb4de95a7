"""What the web server serves: Django, behind a door that waits in Django's stead.

Django works in threads, of which there are few: each may hold a connection to the database. Whoever sends slowly must
not hold one, nor who reads slowly. So a request is read whole, by the event loop, before a thread is spent on it, and
what the thread has written is sent by the event loop, too: thousands of slow connections cost memory, and no thread.
A body has a time and a size within which it must come; granian itself bounds headers (`config.stack`).

Called by granian (`--interface rsgi`): `application(scope, protocol)` for each request. Towards Django this is a WSGI
server (PEP 3333).
"""

import asyncio
import io
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Any

from django.conf import settings
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]  # passed on by it

from accounts.api import problems
from config.wsgi import application as django

log = logging.getLogger(__name__)

#: A body that has not come whole after so many seconds is not waited for: four megabytes at two megabits a second.
BODY_SECONDS = 20
#: No door takes more than the API's inventories, of 4 MiB; each says by itself what it takes.
MOST_BYTES = 5 * 1024 * 1024
#: A webhook's or a form's, which is read in one go.
SMALL = 16 * 1024
#: Longer bodies that one process is reading hold no more than this together; who comes then is asked to come again.
MOST_BYTES_TOGETHER = 128 * 1024 * 1024
#: An answer up to this size is kept in memory while it is sent, a longer one in a file.
IN_MEMORY = 1024 * 1024
#: Sent at once of what is in a file; who has not taken that much after so many seconds is let go.
CHUNK = 256 * 1024
CHUNK_SECONDS = 60

TOO_LONG = f"A body may have at most {MOST_BYTES} bytes."
TOO_SLOW = "The body did not come in time."

Environ = dict[str, Any]


@dataclass
class WebAnswer:
    status: int
    headers: list[tuple[str, str]]
    body: "bytes | IO[bytes]"


class NotTaken(Exception):
    """The body was not taken; `status` and `str()` say why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status

    def answer(self, path: str) -> WebAnswer:
        """In words; as a problem document where the API was asked, which answers in no other way."""
        # The rest of the body is never read, so the connection can't be used for anything more.
        close = ("connection", "close")
        if not path.startswith(problems.ROOT):
            return WebAnswer(self.status, [("content-type", "text/plain; charset=utf-8"), close], f"{self}\n".encode())
        document = problems.of_status(self.status)
        headers = [(name.lower(), value) for name, value in document.items()]
        return WebAnswer(self.status, [*headers, close], document.content)


class WebServer:
    """Reads requests, has them answered by `wsgi` in `threads` threads, sends the answers."""

    def __init__(self, wsgi: Callable[..., Any], *, threads: int) -> None:
        self._wsgi = wsgi
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="web")
        #: Of bodies that are not read whole yet. Touched by the event loop alone.
        self._held = 0

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        try:
            body = await self._body(scope, protocol)
        except NotTaken as refusal:
            answer = refusal.answer(scope.path)
        except ProtocolClosed:
            return
        else:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._threads, self._answer, environ_of(scope, body))
        if isinstance(answer.body, bytes):
            protocol.response_bytes(answer.status, answer.headers, answer.body)
        else:
            await _stream(protocol, answer, answer.body)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _body(self, scope: Scope, protocol: HTTPProtocol) -> bytes:
        """The whole body. Raises `NotTaken` for one that is too long or too slow, or while too many are being read."""
        declared = scope.headers.get("content-length", "")
        if not declared and "transfer-encoding" not in scope.headers:
            return b""
        announced = int(declared) if declared.isdigit() else None
        if announced is not None and announced > MOST_BYTES:
            raise NotTaken(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LONG)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if announced is not None and announced <= SMALL:
                    return await protocol()
                return await self._long_body(protocol)
        except TimeoutError:
            raise NotTaken(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW) from None

    async def _long_body(self, protocol: HTTPProtocol) -> bytes:
        """The same, part by part: it may be longer than was announced, and many of them too much."""
        body = bytearray()
        try:
            async for part in protocol:
                body += part
                self._held += len(part)
                if len(body) > MOST_BYTES:
                    raise NotTaken(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LONG)
                if self._held > MOST_BYTES_TOGETHER:
                    raise NotTaken(HTTPStatus.SERVICE_UNAVAILABLE, "Too much is being sent. Try again in a minute.")
        finally:
            self._held -= len(body)
        return bytes(body)

    def _answer(self, environ: Environ) -> WebAnswer:
        """Django's answer, written whole; in one of the threads."""
        begun: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., None]:
            begun[:] = [int(status[:3]), headers]
            return _no_write

        result: Iterable[bytes] = self._wsgi(environ, start_response)
        try:
            body = result.taken() if isinstance(result, StoredFile) else _written(result)
        finally:
            # Ends the request for Django: its connection to the database goes back to the pool.
            if close := getattr(result, "close", None):
                close()
        status, headers = begun
        return WebAnswer(status, headers, body)


class StoredFile:
    """Django's answer that is a file (`wsgi.file_wrapper`): sent from where it lies, instead of being copied first."""

    def __init__(self, file: IO[bytes], block_size: int = CHUNK) -> None:
        self._file = file
        self._block_size = block_size
        # Django closes the whole of its answer through this.
        self.close: Callable[[], None] = file.close

    def __iter__(self) -> "StoredFile":
        return self

    def __next__(self) -> bytes:
        if part := self._file.read(self._block_size):
            return part
        raise StopIteration

    def taken(self) -> "bytes | IO[bytes]":
        """The file as one of our own, which stays open when Django closes its."""
        try:
            position, descriptor = self._file.tell(), os.dup(self._file.fileno())
        except (AttributeError, OSError):
            return _written(self)
        own = os.fdopen(descriptor, "rb")
        own.seek(position)
        return own


def environ_of(scope: Scope, body: bytes) -> Environ:
    """A request as PEP 3333 has it. Texts are bytes in Latin-1 there."""
    server, _colon, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode(errors="surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": StoredFile,
    }
    for name, value in scope.headers.items():
        # `X_Forwarded_For` would be taken for `X-Forwarded-For`, which a proxy in front has seen to.
        if "_" in name:
            continue
        key = f"HTTP_{name.upper().replace('-', '_')}"
        if key in environ:
            value = f"{environ[key]}{';' if name == 'cookie' else ','}{value}"
        environ[key] = value
    if scope.authority and "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    # Of the body as it came: also of one that was sent in chunks, without saying how long it would be.
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(len(body)) if body else ""
    return environ


def _no_write(_data: bytes) -> None:
    raise NotImplementedError("Django does not write by itself")


def _written(parts: Iterable[bytes]) -> "bytes | IO[bytes]":
    """All parts: in memory, or in a file if they are many."""
    kept = io.BytesIO()
    whole: IO[bytes] = kept
    for part in parts:
        whole.write(part)
        if whole is kept and kept.tell() > IN_MEMORY:
            whole = tempfile.TemporaryFile()  # noqa: SIM115  # closed when it has been sent
            whole.write(kept.getvalue())
    if whole is kept:
        return kept.getvalue()
    whole.seek(0)
    return whole


async def _stream(protocol: HTTPProtocol, answer: WebAnswer, file: IO[bytes]) -> None:
    """Send a file, as fast as the reader takes it."""
    with file, suppress(ProtocolClosed, TimeoutError):
        transport = protocol.response_stream(answer.status, answer.headers)
        while part := file.read(CHUNK):
            async with asyncio.timeout(CHUNK_SECONDS):
                await transport.send_bytes(part)


application = WebServer(django, threads=settings.WEB_THREADS)
