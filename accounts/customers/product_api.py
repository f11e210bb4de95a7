"""The product's API: bearer tokens in, JSON out, errors included."""

import hmac
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


class ApiError(Exception):
    """Ends an API call with a status and a JSON body: `{"error": code, "message": what to do, …}`."""

    def __init__(self, status: int, error: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message, **more}

    def response(self) -> JsonResponse:
        return JsonResponse(self.body, status=self.status)


def api(*methods: str) -> Callable[[View[P]], View[P]]:
    """Make a view a door of the API: only these methods, only with one of `API_TOKENS`, and JSON in every case."""

    def decorate(view: View[P]) -> View[P]:
        @login_not_required
        @csrf_exempt
        @wraps(view)
        def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            try:
                require_token(request)
                if request.method not in methods:
                    raise ApiError(405, "method_not_allowed", f"Use {' or '.join(methods)}.")
                return view(request, *args, **kwargs)
            except ApiError as error:
                response = error.response()
                if error.status == 401:
                    response["WWW-Authenticate"] = 'Bearer realm="offboard"'
                elif error.status == 405:
                    response["Allow"] = ", ".join(methods)
                return response

        return inner

    return decorate


def require_token(request: HttpRequest) -> None:
    """Raise a 401 unless the request carries one of `API_TOKENS`."""
    if not has_token(request):
        raise ApiError(401, "unauthorized", "Send one of the API_TOKENS as `Authorization: Bearer TOKEN`.")


def has_token(request: HttpRequest) -> bool:
    """Whether the request carries one of `API_TOKENS`."""
    return bears(request, settings.API_TOKENS)


def bears(request: HttpRequest, tokens: Iterable[str]) -> bool:
    """Whether the request carries one of these as a bearer token. Takes the same time whichever is wrong."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    given = token.strip().encode(errors="replace")
    # Every token is compared, so that the time taken does not tell which one came close.
    known: list[Any] = [hmac.compare_digest(given, expected.encode()) for expected in tokens if expected]
    return scheme.lower() == "bearer" and any(known)
