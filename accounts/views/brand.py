"""The brand as files: its colours as a style sheet, and its mark. The same for every reader, and kept by browsers.

The policy of pages allows no inline style, so what depends on a setting comes in a style sheet of its own; the style
sheets of pages and desk take their colours from it. Asked for by today's `Brand.version`, an answer is kept for a
year; otherwise for minutes, and asked for again by its ETag.
"""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import etag, require_safe

from accounts.branding import brand

#: Seconds. What is asked for by its version never changes.
YEAR, MINUTES = 31_536_000, 300


def _version(request: HttpRequest) -> str:
    return f'"{brand.current().version}"'


def _kept(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A file that browsers and proxies may keep, and that is not sent again to who has it."""

    @wraps(view)
    @login_not_required
    @require_safe
    def inner(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = etag(_version)(view)(request)
        is_versioned = request.GET.get("v") == brand.current().version
        response["Cache-Control"] = (
            f"public, max-age={YEAR}, immutable" if is_versioned else f"public, max-age={MINUTES}"
        )
        return response

    return inner


@_kept
def stylesheet(request: HttpRequest) -> HttpResponse:
    """GET /brand.css: the colours of the brand, light and dark."""
    return HttpResponse(render_to_string("brand/brand.css", {"brand": brand.current()}), content_type="text/css")


@_kept
def mark(request: HttpRequest) -> HttpResponse:
    """GET /brand.svg, and /favicon.ico for those who ask before they have read a page: the mark."""
    return HttpResponse(render_to_string("brand/mark.svg", {"brand": brand.current()}), content_type="image/svg+xml")
