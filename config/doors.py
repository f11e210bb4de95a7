"""Doors at which only machines knock: a marketplace's webhooks.

A page's request passes middleware that finds out who the reader is, in which language, and what may be shown. A
webhook has no session, no language, no form and no page, and proves itself by a signature; that chain costs more than
storing the delivery. `DoorsMiddleware` stands right after `SecurityMiddleware` (redirect to https, security headers)
and takes webhooks from there straight to their views. `CommonMiddleware` goes with them: it checks ALLOWED_HOSTS and
says how long the answer is. An error still becomes our JSON, by the handlers in `config.urls`.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.urls import resolve, reverse
from django.utils import translation

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: Names of routes without parameters. Their views check each message themselves and need nothing from middleware.
DOORS = ("github_webhook",)


class DoorsMiddleware:
    """Answers at the doors; everything else goes on to the middleware of pages."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        # Found once, when the server starts.
        paths = [reverse(name) for name in DOORS]
        self.doors = {path: CommonMiddleware(resolve(path).func) for path in paths}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        door = self.doors.get(request.path_info)
        if door is None:
            return self.get_response(request)
        # Otherwise an error would speak the language of the page that this thread answered before.
        translation.activate(settings.LANGUAGE_CODE)
        return door(request)  # type: ignore[return-value]  # only an async server is given an awaitable
