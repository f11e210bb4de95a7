"""POST /billing/stripe/webhook/: verify, store, answer 200."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.core import clock, strict_json
from accounts.inbox import inbox, refused_messages
from subscriptions.stripe import signature
from subscriptions.stripe.messages import SOURCE, StripeMode
from subscriptions.stripe.payloads import customers_named

#: Events are a few kilobytes; an invoice with its first hundred lines is larger.
MAX_BYTES = 1024 * 1024
#: Stripe's ids of events, and names of their types, are far shorter.
MAX_ID, MAX_TYPE = 200, 100
#: The answer to what is stored, always the same.
ACCEPTED = b'{"status": "accepted"}'


@login_not_required
@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    """200 once the event is stored, new or not; 400, 401, 405, 413 with nothing stored.

    503 without database, and where no secret is set up. Stripe tries again for three days after anything but a 2xx.
    """
    if request.method != "POST":
        return _error(405, "method_not_allowed", "Stripe delivers by POST.", Allow="POST")
    if not settings.STRIPE_WEBHOOK_SECRETS:
        return _error(503, "not_configured", "STRIPE_WEBHOOK_SECRETS is not set: nobody can be known here.")
    at = clock.now()
    try:
        body = strict_json.read_body(request, limit=MAX_BYTES)
    except strict_json.TooLarge as error:
        return _error(413, "too_large", str(error))
    try:
        given = request.META.get("HTTP_STRIPE_SIGNATURE", "")
        signature.check(body, given, settings.STRIPE_WEBHOOK_SECRETS, at=at)
    except signature.RefusedSignature as error:
        refused_messages.note(SOURCE, error.reason, at=at)
        return _error(401, "bad_signature", f"Stripe-Signature: {error}.")
    try:
        event = strict_json.parse(body)
    except strict_json.BadJSON as error:
        return _error(400, "bad_json", str(error))
    event_id, kind = _named(event)
    if not event_id or not kind:
        return _error(400, "no_event", "The JSON is no event of Stripe's: it has no id or no type.")
    try:
        inbox.accept(
            SOURCE,
            delivery_id=event_id,
            event=kind,
            content_type=(request.content_type or "")[:100],
            body=body,
            at=at,
            mode=StripeMode.LIVE if event.get("livemode") is not False else StripeMode.TEST,
            named=customers_named(body, event),
        )
    except DatabaseError:
        return _error(503, "try_again", "The event could not be stored. Deliver it again.")
    inbox.nudge()
    return HttpResponse(ACCEPTED, content_type="application/json")


def _named(event: object) -> tuple[str, str]:
    """The event's id and type, if it has any that can be kept."""
    if not isinstance(event, Mapping):
        return "", ""
    values: list[Any] = [event.get("id"), event.get("type")]
    fit = [
        value if isinstance(value, str) and len(value) <= limit and value.isprintable() else ""
        for value, limit in zip(values, (MAX_ID, MAX_TYPE), strict=True)
    ]
    return fit[0], fit[1]


def _error(status: int, error: str, message: str, **headers: str) -> HttpResponse:
    return JsonResponse({"error": error, "message": message}, status=status, headers=headers)
