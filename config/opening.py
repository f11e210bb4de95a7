"""While the database is closed after a restore (`accounts.jobs.opening`) nobody is let in, but those who watch."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation

from accounts.inbox.middleware import FILES, PROBES
from accounts.jobs import opening
from accounts.views import errors


class OpeningMiddleware:
    """Answers 503 then. Stands before all that reads or writes a row, also before the doors of marketplaces: what they
    send now they send again.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        #: What watches over it, and what a page of errors looks like.
        self.open_doors = frozenset(map(reverse, (*PROBES, *FILES)))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        asks_for_rows = request.path_info not in self.open_doors and not request.path_info.startswith(
            settings.STATIC_URL
        )
        if asks_for_rows and not opening.known.is_open():
            with translation.override(translation.get_language_from_request(request)):
                return errors.closed(request)
        return self.get_response(request)
