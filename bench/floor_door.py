"""Intake's floor: the least that Django can do to take a signed message. HMAC of the raw body, one insert, 202.

It reads the body without a limit, knows one secret, asks nothing of the headers, does not look into the body, tells
nobody, and takes the HMAC that it has anyway as the row's digest.
"""

import hmac

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from accounts.core import clock
from accounts.inbox.inbox import INSERT


def take(request: HttpRequest) -> HttpResponse:
    """202 for what is signed, 401 for anything else."""
    body = request.body
    digest = hmac.digest(settings.GITHUB_WEBHOOK_SECRETS[0].encode(), body, "sha256")
    given = request.META.get("HTTP_X_HUB_SIGNATURE_256", "")
    if not hmac.compare_digest(given.encode(), b"sha256=" + digest.hex().encode()):
        return HttpResponse(status=401)
    at = clock.now()
    delivery_id, event = request.META["HTTP_X_GITHUB_DELIVERY"], request.META["HTTP_X_GITHUB_EVENT"]
    with connection.cursor() as cursor:
        row = [
            "github",
            "",
            "",
            delivery_id,
            event,
            request.content_type,
            body,
            None,
            digest,
            at,
            at,
        ]
        cursor.execute(INSERT, row)
    # Without it the server would send the answer in chunks.
    return HttpResponse(status=202, headers={"Content-Length": "0"})


urlpatterns = [path("marketplace/github/webhook/", take)]
