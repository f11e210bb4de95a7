"""POST /marketplace/aws/sns/: verify, store, answer 202."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.core import clock, strict_json
from accounts.inbox import inbox, refused_messages
from marketplace.aws import messages, sns, sns_certificates
from marketplace.aws.refusals import AwsRefusal

#: SNS's own limit is 256 KiB for a message, which its envelope writes as JSON text within JSON.
MAX_BYTES = 512 * 1024
#: The answer to what is stored, always the same.
ACCEPTED = b'{"status": "accepted"}'


@login_not_required
@csrf_exempt
def notification(request: HttpRequest) -> HttpResponse:
    """202 once the message is stored, new or not; 400, 403, 405, 413 with nothing stored, and never again.

    503 for what may pass: no topic is set up, the certificate can't be fetched, the database is away. SNS retries
    after a 5xx and gives up after a 4xx (facts/aws-marketplace, 2.10).
    """
    if request.method != "POST":
        return _error(405, "method_not_allowed", "SNS delivers by POST.", Allow="POST")
    if not settings.AWS_SNS_TOPIC_ARNS:
        return _error(503, "not_configured", "AWS_SNS_TOPIC_ARNS is not set: no topic is known here.")
    at = clock.now()
    try:
        body = strict_json.read_body(request, limit=MAX_BYTES)
        envelope = sns.verify(body, request.META, at=at)
    except strict_json.TooLarge as error:
        refused_messages.note(messages.SNS, AwsRefusal.TOO_LARGE, at=at)
        return _error(413, "too_large", str(error))
    except sns.RefusedSns as error:
        refused_messages.note(messages.SNS, error.reason, claimed=error.topic, at=at)
        return _error(error.status, f"refused_{error.reason.value}", str(error))
    except sns_certificates.Unreachable as error:
        return _error(503, "try_again", str(error))
    try:
        inbox.accept(
            messages.SNS,
            delivery_id=envelope.message_id,
            event=envelope.type,
            content_type=(request.content_type or "")[:100],
            body=body,
            at=at,
        )
    except DatabaseError:
        return _error(503, "try_again", "The message could not be stored. Deliver it again.")
    inbox.nudge()
    return HttpResponse(ACCEPTED, content_type="application/json", status=202)


def _error(status: int, error: str, message: str, **headers: str) -> HttpResponse:
    return JsonResponse({"error": error, "message": message}, status=status, headers=headers)
