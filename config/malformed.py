"""What no browser and no honest client sends is answered before anything reads it: with 4xx, and our page or JSON.

Stands before everything that looks at addresses, queries and forms. Django decodes those with whatever codec the
client names, some of which are none for text, and hands a NUL on to where only the database refuses it.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation

from accounts.views import errors

GetResponse = Callable[[HttpRequest], HttpResponse]

#: What our forms are sent in, whatever else a client may know.
CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_CONTROLS = re.compile("[\x00-\x1f\x7f]")


class MalformedRequestMiddleware:
    """Refuses control characters in addresses (400) and forms in other alphabets (415); gives a 405 its page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        charset = (request.content_params or {}).get("charset")
        # Everything from here on is read as UTF-8, the page that says so as well.
        request.encoding = "utf-8"
        if charset is not None and charset.strip().lower() not in CHARSETS:
            return _told(request, errors.unsupported_charset)
        if _CONTROLS.search(request.path) or b"\x00" in unquote_to_bytes(request.META.get("QUERY_STRING", "")):
            return _told(request, errors.unreadable)
        response: HttpResponseBase = self.get_response(request)
        if response.status_code == 405 and not response.streaming and not getattr(response, "content", b""):
            allowed = response.headers.get("Allow", "")
            response = _told(request, errors.method_not_allowed)
            response.headers["Allow"] = allowed
        return response


def _told(request: HttpRequest, answer: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """In the language of the browser: nobody has been asked yet who is reading."""
    with translation.override(translation.get_language_from_request(request)):
        return answer(request)
