from django.urls import path

from accounts.blueprints.views import blueprints, connections, inventory

urlpatterns = [
    path("blueprints/<uuid:blueprint_id>/", blueprints.blueprint, name="blueprint"),
    path("blueprints/<uuid:blueprint_id>/convert/", blueprints.convert, name="blueprint_convert"),
    path("blueprints/<uuid:blueprint_id>/live/", blueprints.live, name="blueprint_live"),
    path("blueprints/<uuid:blueprint_id>/thumbnail/", blueprints.thumbnail, name="blueprint_thumbnail"),
    path("blueprints/<uuid:blueprint_id>/bits/", blueprints.bits, name="blueprint_bits"),
    path("connections/", connections.connections, name="connections"),
    path("connections/<uuid:connection_id>/", connections.connection, name="connection"),
    path(
        "api/accounts/<uuid:account_id>/connections/<uuid:connection_id>/resources/",
        inventory.resources,
        name="api_resources",
    ),
]
