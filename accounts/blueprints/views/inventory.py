"""The door through which the product's scanner sends what it found in a customer's clouds."""

import uuid

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts.blueprints.components import validate_resources
from accounts.blueprints.connection import CloudConnection
from accounts.core import clock, strict_json
from accounts.customers.entitlements import NotEntitled
from accounts.customers.product_api import ApiError, api

#: An inventory of ten thousand resources fits in half of this.
MAX_INVENTORY_BYTES = 4 * 1024 * 1024


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
            since=strict_json.instant(error.entitlements.since),
        ) from error
    return JsonResponse({"resources": len(inventory), "as_of": strict_json.instant(at)})
