"""POST /marketplace/aws/events/: what EventBridge's API destination sends. Check, store, answer 202."""

import hmac
from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.core import clock, strict_json
from accounts.inbox import inbox, refused_messages
from marketplace.aws import messages, origin
from marketplace.aws.refusals import AwsRefusal

#: EventBridge's own limit is 256 KiB.
MAX_BYTES = 512 * 1024
#: What a UUID needs, with room.
MAX_EVENT_ID = 200
MAX_DETAIL_TYPE = 100
SENDER = "aws.agreement-marketplace"
#: The name that Django gives to the header in which the connection sends its key.
KEY_HEADER = "HTTP_X_API_KEY"
#: The answer to what is stored, always the same.
ACCEPTED = b'{"status": "accepted"}'


@login_not_required
@csrf_exempt
def event(request: HttpRequest) -> HttpResponse:
    """202 once the event is stored, new or not, and of whatever type; 400, 401, 403, 405, 413 with nothing stored.

    503 for what may pass: no token is set up, or the database is away. EventBridge retries for a day.
    """
    if request.method != "POST":
        return _error(405, "method_not_allowed", "EventBridge delivers by POST.", Allow="POST")
    if not settings.AWS_EVENTS_TOKEN:
        return _error(503, "not_configured", "AWS_EVENTS_TOKEN is not set: nobody can be known here.")
    at = clock.now()
    # Before the body is read: who has no token has nothing to say.
    if not is_known(request.META.get(KEY_HEADER, ""), settings.AWS_EVENTS_TOKEN):
        refused_messages.note(messages.EVENTS, AwsRefusal.TOKEN, at=at)
        return _error(401, "bad_token", "X-Api-Key is not our token.")
    try:
        body = strict_json.read_body(request, limit=MAX_BYTES)
        envelope = strict_json.parse(body)
    except strict_json.TooLarge as error:
        refused_messages.note(messages.EVENTS, AwsRefusal.TOO_LARGE, at=at)
        return _error(413, "too_large", str(error))
    except strict_json.BadJSON as error:
        refused_messages.note(messages.EVENTS, AwsRefusal.MALFORMED, at=at)
        return _error(400, "bad_json", str(error))
    event_id, detail_type = _text_in(envelope, "id"), _text_in(envelope, "detail-type")
    if not event_id or not detail_type or len(event_id) > MAX_EVENT_ID:
        refused_messages.note(messages.EVENTS, AwsRefusal.MALFORMED, at=at)
        return _error(400, "bad_event", "An event is a JSON object with `id` and `detail-type`.")
    if envelope.get("source") != SENDER:
        refused_messages.note(messages.EVENTS, AwsRefusal.SENDER, at=at)
        return _error(403, "other_sender", f"Only events of {SENDER} are taken here: correct the rule's pattern.")
    if foreign := origin.foreign(envelope):
        refused_messages.note(messages.EVENTS, foreign, at=at)
        return _error(
            403, f"other_{foreign.value}", "This event is not about our products: correct the rule's pattern."
        )
    try:
        inbox.accept(
            messages.EVENTS,
            delivery_id=event_id,
            event=detail_type[:MAX_DETAIL_TYPE],
            content_type=(request.content_type or "")[:100],
            body=body,
            at=at,
        )
    except DatabaseError:
        return _error(503, "try_again", "The event could not be stored. Deliver it again.")
    inbox.nudge()
    return HttpResponse(ACCEPTED, content_type="application/json", status=202)


def is_known(given: str, tokens: Iterable[str]) -> bool:
    """Whether it is one of the tokens. Each is compared in full: the time taken tells nothing."""
    matches = [hmac.compare_digest(given.encode(errors="replace"), token.encode()) for token in tokens if token]
    return any(matches)


def _text_in(envelope: object, name: str) -> str:
    """A text of the event; empty if there is none."""
    value = envelope.get(name) if isinstance(envelope, dict) else None
    return value if isinstance(value, str) else ""


def _error(status: int, error: str, message: str, **headers: str) -> HttpResponse:
    return JsonResponse({"error": error, "message": message}, status=status, headers=headers)
