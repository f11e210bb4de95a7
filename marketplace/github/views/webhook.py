"""POST /marketplace/github/webhook/: verify, store, answer 202."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.core import clock, strict_json
from accounts.inbox import inbox
from marketplace.github.messages import SOURCE
from marketplace.github.payloads import accounts_in, message_in
from marketplace.github.signature import GitHubListing, is_signed

#: Every real marketplace event is below 3 kB; GitHub's own limit is 25 MB.
MAX_BYTES = 1024 * 1024
#: What a GUID needs, with room for whatever a relay makes of it.
MAX_DELIVERY_ID = 200
#: Hooks have numbers.
MAX_HOOK = 40
#: The answer to what is stored, always the same.
ACCEPTED = b'{"status": "accepted"}'


@login_not_required
@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    """202 once the delivery is stored, new or not; 400, 401, 405, 413 with nothing stored.

    503 without database, and where no secret is set up: who sells nothing at GitHub needs none.
    """
    if request.method != "POST":
        return _error(405, "method_not_allowed", "GitHub delivers by POST.", Allow="POST")
    if not settings.GITHUB_WEBHOOK_SECRETS:
        return _error(503, "not_configured", "GITHUB_WEBHOOK_SECRETS is not set: nobody can be known here.")
    try:
        body = strict_json.read_body(request, limit=MAX_BYTES)
    except strict_json.TooLarge as error:
        return _error(413, "too_large", str(error))
    # Not `request.headers`, which would first read all the others.
    headers = request.META
    listing = _listing(body, headers.get("HTTP_X_HUB_SIGNATURE_256", ""))
    if listing is None:
        return _error(401, "bad_signature", "X-Hub-Signature-256 does not match this body and any of our secrets.")
    delivery_id, event = headers.get("HTTP_X_GITHUB_DELIVERY", ""), headers.get("HTTP_X_GITHUB_EVENT", "")
    if not delivery_id or len(delivery_id) > MAX_DELIVERY_ID or not event or len(event) > 100:
        return _error(400, "bad_headers", "X-GitHub-Delivery and X-GitHub-Event are needed.")
    content_type = (request.content_type or "")[:100]
    try:
        message = message_in(body, content_type)
    except strict_json.BadJSON as error:
        return _error(400, "bad_json", str(error))
    try:
        inbox.accept(
            SOURCE,
            delivery_id=delivery_id,
            event=event,
            content_type=content_type,
            body=body,
            at=clock.now(),
            hook=headers.get("HTTP_X_GITHUB_HOOK_ID", "")[:MAX_HOOK],
            mode=listing,
            named=accounts_in(message),
        )
    except DatabaseError:
        # Said at once and plainly: the listing's page shows it as failed, from where it can be sent again by hand.
        return _error(503, "try_again", "The delivery could not be stored. Deliver it again.")
    inbox.nudge()
    return HttpResponse(ACCEPTED, content_type="application/json", status=202)


def _listing(body: bytes, signature: str) -> GitHubListing | None:
    """The listing whose secret signed this; None if none did."""
    if is_signed(body, signature, settings.GITHUB_WEBHOOK_SECRETS):
        return GitHubListing.LIVE
    if is_signed(body, signature, settings.GITHUB_DRAFT_WEBHOOK_SECRETS):
        return GitHubListing.DRAFT
    return None


def _error(status: int, error: str, message: str, **headers: str) -> HttpResponse:
    return JsonResponse({"error": error, "message": message}, status=status, headers=headers)
