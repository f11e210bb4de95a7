from django.urls import path

from accounts.api import application
from accounts.views import (
    api,
    brand,
    export,
    health,
    home,
    metrics,
    preferences,
    sessions,
    support,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("user/preferences/", preferences.preferences, name="preferences"),
    path("auth/sessions/", sessions.sessions, name="sessions"),
    path("user/account/", preferences.switch_account, name="switch_account"),
    path("user/export/", export.export, name="export"),
    path("user/export/<str:token>/", export.export_file, name="export_file"),
    path("user/support/", support.support, name="support"),
    path("user/support/<str:reference>/", support.conversation, name="support_message"),
    path("user/support/deletion/call-off/", support.call_deletion_off, name="deletion_call_off"),
    path("api/accounts/<uuid:account_id>/entitlements/", api.entitlements, name="api_entitlements"),
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
