"""Error answers: a person gets a page that says what to do next, a machine gets JSON."""

import sys
from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.api import problems
from accounts.branding import brand

#: When to come again while we are closed.
RETRY_SECONDS = 60
#: Below these paths nobody but machines knocks.
MACHINE_PATHS = (
    "/api/",
    "/billing/stripe/webhook",
    "/healthz/",
    "/readyz/",
    "/metrics",
    "/marketplace/github/webhook",
    "/marketplace/aws/sns",
    "/marketplace/aws/events",
)


def _answer(request: HttpRequest, status: HTTPStatus, title: str, message: str) -> HttpResponse:
    if problems.is_ours(request):
        return problems.of_status(status)
    if request.path.startswith(MACHINE_PATHS):
        return JsonResponse({"error": status.name.lower(), "message": message}, status=status)
    return render(request, "error.html", {"title": title, "message": message, "status": int(status)}, status=status)


@login_not_required
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return unreadable(request)


def unreadable(request: HttpRequest) -> HttpResponse:
    return _answer(
        request,
        HTTPStatus.BAD_REQUEST,
        _("That did not work"),
        _("The request could not be read. Nothing was changed."),
    )


def unsupported_charset(request: HttpRequest) -> HttpResponse:
    return _answer(
        request,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        _("That did not work"),
        _("The request has to be in UTF-8. Nothing was changed."),
    )


def method_not_allowed(request: HttpRequest) -> HttpResponse:
    return _answer(
        request,
        HTTPStatus.METHOD_NOT_ALLOWED,
        _("That did not work"),
        _("This address does not take such a request. Nothing was changed."),
    )


def closed(request: HttpRequest) -> HttpResponse:
    """While what was erased has not been erased again after a restore."""
    answer = _answer(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        _("Back soon"),
        _("We are putting things in order after a restart. Please come back in a few minutes. Nothing was changed."),
    )
    answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer


@login_not_required
def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    message = str(exception) or _("You are not allowed to do this.")
    return _answer(request, HTTPStatus.FORBIDDEN, _("Not allowed"), f"{message} {_('Nothing was changed.')}")


@login_not_required
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(
        request, HTTPStatus.NOT_FOUND, _("Not found"), _("There is nothing here, or nothing that you may see.")
    )


@login_not_required
def server_error(request: HttpRequest) -> HttpResponse:
    """The last resort; its page asks nothing of the database. 503 when that is what is missing, else 500."""
    away = isinstance(sys.exc_info()[1], OperationalError)
    status = HTTPStatus.SERVICE_UNAVAILABLE if away else HTTPStatus.INTERNAL_SERVER_ERROR
    if problems.is_ours(request):
        return problems.of_status(status)
    message = _("Something went wrong on our side. Nothing was half done; please try again in a minute.")
    if request.path.startswith(MACHINE_PATHS):
        return JsonResponse({"error": status.name.lower(), "message": message}, status=status)
    # Without the request: no context processor asks who is reading.
    return render(None, "500.html", {"brand": brand.current(), "message": message}, status=status)


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(
        request,
        HTTPStatus.FORBIDDEN,
        _("This page was open for too long"),
        _("For your safety the form was not accepted. Go back, reload the page, and try again. Nothing was changed."),
    )
