"""Doors at which only machines knock: those of the inbox's sources.

A page's request passes middleware that finds out who the reader is, in which language, and what may be shown. A
webhook has no session, no language, no form and no page, and proves itself by a signature; that chain costs more than
storing the delivery. `DoorsMiddleware` stands right after `SecurityMiddleware` (redirect to https, security headers)
and takes webhooks from there straight to their views. An error becomes our JSON, by the handlers in `config.urls`.

So do those who ask whether we are well. A load balancer asks each server by its IP address, which is no name in
`ALLOWED_HOSTS`; these answers are the same for every name, so none is asked for.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import resolve, reverse
from django.utils import translation

from accounts.inbox.sources import SOURCES

GetResponse = Callable[[HttpRequest], HttpResponse]

#: Names of routes without parameters, answered under whatever name or address they are asked.
PROBES = ("healthz", "readyz", "metrics")
#: Files that are the same for every reader: who reads is not asked, so that they can be kept by whoever passes them on.
FILES = ("brand_css", "brand_mark", "favicon")


class DoorsMiddleware:
    """Answers at the doors; everything else goes on to the middleware of pages."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        # Found once, when the server starts. A source's view checks each message itself and needs no middleware.
        probes = _views(*PROBES)
        self.doors = {**probes, **_views(*FILES, *(source.door for source in SOURCES.all() if source.door))}
        self.probes = frozenset(probes)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        door = self.doors.get(request.path_info)
        if door is None:
            return self.get_response(request)
        # Otherwise an error would speak the language of the page that this thread answered before.
        translation.activate(settings.LANGUAGE_CODE)
        if request.path_info not in self.probes:
            # As CommonMiddleware does: raises DisallowedHost, which is answered by 400.
            request.get_host()
        response = door(request)
        # As CommonMiddleware does: without it the answer would be sent in chunks.
        response.headers.setdefault("Content-Length", str(len(response.content)))
        return response


def _views(*names: str) -> dict[str, GetResponse]:
    """The views of these routes, by their paths."""
    return {path: resolve(path).func for path in map(reverse, names)}
