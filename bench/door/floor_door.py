"""Intake's floor: the least that Django can do to take a signed message. HMAC of the raw body, one insert, 202.

It reads the body without a limit, knows one secret, asks nothing of the headers, does not look into the body, tells
nobody, and takes the HMAC that it has anyway as the row's digest. Stripe's messages say in the body alone what they
are called and what happened, so that one is read, and in their signature's header when they were signed.
"""

import hmac
import json

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


def take_event(request: HttpRequest) -> HttpResponse:
    """The same of Stripe's, answered with 200."""
    body = request.body
    sent, _comma, given = request.META.get("HTTP_STRIPE_SIGNATURE", "").partition(",v1=")
    signed = sent.removeprefix("t=").encode() + b"." + body
    digest = hmac.digest(settings.STRIPE_WEBHOOK_SECRETS[0].encode(), signed, "sha256")
    if not hmac.compare_digest(given.encode(), digest.hex().encode()):
        return HttpResponse(status=401)
    event, at = json.loads(body), clock.now()
    with connection.cursor() as cursor:
        row = ["stripe", "", "sandbox", event["id"], event["type"], request.content_type, body, None, digest, at, at]
        cursor.execute(INSERT, row)
    return HttpResponse(status=200, headers={"Content-Length": "0"})


urlpatterns = [path("marketplace/github/webhook/", take), path("billing/stripe/webhook/", take_event)]
