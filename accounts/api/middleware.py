"""Takes calls of the API past what only pages need (`accounts.inbox.middleware` does so for webhooks)."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from accounts.api import application, problems


class ApiMiddleware:
    """Answers calls of the API; everything else goes on. Stands where sessions, forms and languages come after it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not problems.is_ours(request):
            return self.get_response(request)
        # Otherwise a refusal would speak the language of the page that this thread answered before.
        translation.activate(settings.LANGUAGE_CODE)
        # As CommonMiddleware does: raises DisallowedHost, which is answered by 400.
        request.get_host()
        is_head = request.method == "HEAD"
        response = application.answer(request)
        if response.status_code not in (204, 304):
            # As CommonMiddleware does: without it the answer would be sent in chunks.
            response.headers.setdefault("Content-Length", str(len(response.content)))
        if is_head:
            response.content = b""
        return response
