"""What a line of the log is about: the request, the sweep, the row of due work, the account. Ids alone.

Whoever begins something says so once (`about`); every line that is written inside of it carries that, whichever library
writes it (`ContextFilter`, set up in `config.settings`).
"""

import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

_about: ContextVar[Mapping[str, str] | None] = ContextVar("about", default=None)

#: What a proxy may call a request; anything else is given a name of ours.
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
HEADER = "X-Request-ID"
#: The same in `META`: `request.headers` would first read all the others.
_META = "HTTP_X_REQUEST_ID"


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Every line of the log inside the block says what it is about. None is left out."""
    told = {name: str(value) for name, value in ids.items() if value is not None}
    token = _about.set({**(_about.get() or {}), **told})
    try:
        yield
    finally:
        _about.reset(token)


def told_now() -> Mapping[str, str]:
    """What a line would be about that is written now."""
    return _about.get() or {}


class ContextFilter(logging.Filter):
    """Gives each record `about`, as a mapping; the formatters write it (`config.logs`)."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.about = told_now()
        return True


class RequestIdMiddleware:
    """Names each request, as the proxy in front did or anew, in the log and in the answer's header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        told = request.META.get(_META, "")
        name = told if _REQUEST_ID.fullmatch(told) else uuid.uuid4().hex
        with about(request=name):
            response = self.get_response(request)
        response[HEADER] = name
        return response
