"""The web server's application for tests of its door: waits two seconds for a body, and has answers of 40 MB."""

import tempfile
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from config import server
from config.wsgi import application as django

server.BODY_SECONDS = 2
PARTS, PART = 40, b"x" * 1_000_000


def _application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
    answer = {"/large": _parts, "/file": _file}.get(environ["PATH_INFO"])
    if answer is None:
        return django(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return answer(environ)


def _parts(_environ: WSGIEnvironment) -> Iterator[bytes]:
    return iter([PART] * PARTS)


def _file(environ: WSGIEnvironment) -> Any:
    wrapper: Callable[[Any], Any] = environ["wsgi.file_wrapper"]
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by the server
    file.write(PART * PARTS)
    file.seek(0)
    return wrapper(file)


application = server.WebServer(_application, threads=4)
