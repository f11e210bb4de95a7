"""What no browser and no honest client sends is answered before anything reads it: with 4xx, and our page or JSON.

Django decodes addresses and forms with whatever codec the client names, some of which are none for text, and hands a
NUL on to where only the database refuses it. Here everything is UTF-8 (`Request`), and what is not is refused
(`MalformedRequestMiddleware`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.http import parse_header_parameters

from accounts.views import errors

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: What our forms are sent in, whatever else a client may know.
CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
#: What can't be read is none of them.
UNREADABLE = "unreadable"
_CONTROLS = re.compile("[\x00-\x1f\x7f]")


class Request(WSGIRequest):
    """A request as we read it: in UTF-8, whatever its head names. The middleware refuses it if that is wrong."""

    def _set_content_type_params(self, meta: Mapping[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except (LookupError, ValueError):
            self.content_type, self.content_params = "", {"charset": UNREADABLE}


class Handler(WSGIHandler):
    request_class = Request


class MalformedRequestMiddleware:
    """Refuses control characters in addresses (400) and bodies in other alphabets (415); gives a 405 its page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        charset = (request.content_params or {}).get("charset")
        if charset is not None and charset.strip().lower() not in CHARSETS:
            return _told(request, errors.unsupported_charset)
        if _CONTROLS.search(request.path) or b"\x00" in unquote_to_bytes(request.META.get("QUERY_STRING", "")):
            return _told(request, errors.unreadable)
        response = self.get_response(request)
        if response.status_code == 405 and not getattr(response, "content", b"?"):
            allowed = response.headers.get("Allow", "")
            response = _told(request, errors.method_not_allowed)
            response.headers["Allow"] = allowed
        return response


def _told(request: HttpRequest, answer: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """In the language of the browser: nobody has been asked yet who is reading."""
    with translation.override(translation.get_language_from_request(request)):
        return answer(request)
