"""What the product's own servers ask and send."""

import hashlib
import uuid
from datetime import datetime

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts.blueprints.components import validate_resources
from accounts.core import clock, strict_json
from accounts.customers.entitlements import Entitlements, NotEntitled, entitlements_of
from accounts.customers.product_api import ApiError, api
from accounts.models import Account, CloudConnection

#: An inventory of ten thousand resources fits in half of this.
MAX_INVENTORY_BYTES = 4 * 1024 * 1024


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
        "since": _instant(entitlements.since),
        "until": _instant(entitlements.until),
    }


def _instant(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z") if at else None


@api("PUT")
def resources(request: HttpRequest, account_id: uuid.UUID, connection_id: uuid.UUID) -> HttpResponse:
    """PUT /api/accounts/<uuid>/connections/<uuid>/resources/: replace a connection's inventory by a newer one."""
    connection = (
        CloudConnection.objects.select_related("account").filter(pk=connection_id, account_id=account_id).first()
    )
    if connection is None:
        raise ApiError(404, "unknown_connection", "This account has no connection with this id.")
    try:
        body = strict_json.read_body(request, limit=MAX_INVENTORY_BYTES)
        inventory = validate_resources(strict_json.parse(body))
    except strict_json.TooLarge as error:
        raise ApiError(413, "too_large", str(error)) from error
    except strict_json.BadJSON as error:
        raise ApiError(400, "bad_json", str(error)) from error
    except ValidationError as error:
        raise ApiError(422, "bad_inventory", " ".join(error.messages)) from error
    at = clock.of(request)
    try:
        connection.update_resources(inventory, at=at)
    except NotEntitled as error:
        raise ApiError(
            403,
            "not_entitled",
            "The account's plan does not include updates of cloud resources. The stored inventory stays as it is.",
            feature=error.feature,
            plan=error.entitlements.plan,
            since=_instant(error.entitlements.since),
        ) from error
    return JsonResponse({"resources": len(inventory), "as_of": _instant(at)})
