"""Cloud connections and the resources last found through them."""

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.blueprints.connection import CloudConnection
from accounts.blueprints.feature_codes import CLOUD_UPDATES
from accounts.core import clock
from accounts.customers.access import for_members, membership_in
from accounts.customers.account import Membership
from accounts.customers.entitlements import entitlements_of

#: Rows shown of an inventory; the product's own explorer shows the rest.
SHOWN = 200


@require_GET
@for_members
def connections(request: HttpRequest, membership: Membership) -> HttpResponse:
    """GET /connections/: the account's cloud connections, and since when they are paused, if they are."""
    entitled = entitlements_of(membership.account, clock.of(request))
    return render(
        request,
        "blueprints/connections.html",
        {
            "connections": membership.account.connections.defer("resources"),
            "entitlements": entitled,
            "paused": not entitled.allow(CLOUD_UPDATES),
        },
    )


@require_GET
def connection(request: HttpRequest, connection_id: uuid.UUID) -> HttpResponse:
    """GET /connections/<uuid>/: one connection's newest inventory; shown also while updates are paused."""
    found = get_object_or_404(CloudConnection.objects.select_related("account"), pk=connection_id)
    membership_in(request, found.account_id)
    entitled = entitlements_of(found.account, clock.of(request))
    return render(
        request,
        "blueprints/connection.html",
        {
            "connection": found,
            "resources": found.resources[:SHOWN],
            "hidden": max(0, len(found.resources) - SHOWN),
            "entitlements": entitled,
            "paused": not entitled.allow(CLOUD_UPDATES),
        },
    )
