from django.urls import path

from accounts.api import application
from accounts.views import (
    api,
    blueprints,
    brand,
    connections,
    export,
    health,
    metrics,
    preferences,
    sessions,
    support,
)

urlpatterns = [
    path("", blueprints.home, name="home"),
    path("blueprints/<uuid:blueprint_id>/", blueprints.blueprint, name="blueprint"),
    path("blueprints/<uuid:blueprint_id>/convert/", blueprints.convert, name="blueprint_convert"),
    path("blueprints/<uuid:blueprint_id>/live/", blueprints.live, name="blueprint_live"),
    path("blueprints/<uuid:blueprint_id>/thumbnail/", blueprints.thumbnail, name="blueprint_thumbnail"),
    path("blueprints/<uuid:blueprint_id>/bits/", blueprints.bits, name="blueprint_bits"),
    path("connections/", connections.connections, name="connections"),
    path("connections/<uuid:connection_id>/", connections.connection, name="connection"),
    path("user/preferences/", preferences.preferences, name="preferences"),
    path("auth/sessions/", sessions.sessions, name="sessions"),
    path("user/account/", preferences.switch_account, name="switch_account"),
    path("user/export/", export.export, name="export"),
    path("user/export/<str:token>/", export.export_file, name="export_file"),
    path("user/support/", support.support, name="support"),
    path("user/support/<str:reference>/", support.conversation, name="support_message"),
    path("user/support/deletion/call-off/", support.call_deletion_off, name="deletion_call_off"),
    path("api/accounts/<uuid:account_id>/entitlements/", api.entitlements, name="api_entitlements"),
    path(
        "api/accounts/<uuid:account_id>/connections/<uuid:connection_id>/resources/",
        api.resources,
        name="api_resources",
    ),
    path("brand.css", brand.stylesheet, name="brand_css"),
    path("brand.svg", brand.mark, name="brand_mark"),
    path("favicon.ico", brand.mark, name="favicon"),
    path("api/v1/openapi.json", application.openapi_json, name="api_document"),
    path("api/v1/problems/<str:name>/", application.problem, name="api_problem"),
    path("api/v1/", application.the_api().urls),
    path("healthz/", health.healthz, name="healthz"),
    path("readyz/", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
