"""All doors. Those of (design, section 6) are stable: scripts and bookmarks depend on them."""

from django.contrib import admin
from django.urls import include, path

from accounts.customers import product
from accounts.views.second_factor import activate_second_factor

urlpatterns = [
    *(path("", include(urls)) for urls in product.URLS.all()),
    path("", include("accounts.urls")),
    path("", include("subscriptions.urls")),
    path("", include("marketplace.urls")),
    path("auth/2fa/totp/activate/", activate_second_factor, name="mfa_activate_totp"),
    path("auth/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "accounts.views.errors.bad_request"
handler403 = "accounts.views.errors.permission_denied"
handler404 = "accounts.views.errors.not_found"
handler500 = "accounts.views.errors.server_error"
