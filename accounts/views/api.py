"""What the product's own servers ask and send."""

import hashlib
import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts.core import clock, strict_json
from accounts.customers.entitlements import Entitlements, entitlements_of
from accounts.customers.product_api import ApiError, api
from accounts.models import Account


@api("GET", "HEAD")
def entitlements(request: HttpRequest, account_id: uuid.UUID) -> HttpResponse:
    """GET /api/accounts/<uuid>/entitlements/: what the account may do at this instant."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise ApiError(404, "unknown_account", "There is no account with this id.")
    response = JsonResponse({"account": str(account.pk), **_as_json(entitlements_of(account, clock.of(request)))})
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    # To be asked again each time: dates decide, and the next second may be another answer.
    response["Cache-Control"] = "private, no-cache"
    if _matches(request.headers.get("If-None-Match", ""), response["ETag"]):
        response.status_code = 304
        response.content = b""
    return response


def _matches(header: str, etag: str) -> bool:
    return any(candidate.strip().removeprefix("W/") in (etag, "*") for candidate in header.split(","))


def _as_json(entitlements: Entitlements) -> dict[str, object]:
    return {
        "active": entitlements.active,
        "plan": entitlements.plan,
        "features": sorted(entitlements.features),
        "since": strict_json.instant(entitlements.since),
        "until": strict_json.instant(entitlements.until),
    }
