from django.urls import path

from subscriptions.views import cancellation, settings

urlpatterns = [
    path("user/subscription/", settings.settings, name="subscription"),
    path("user/subscription/cancellation/", cancellation.cancellation, name="cancellation"),
    path("user/subscription/cancellation/withdraw/", cancellation.withdraw, name="cancellation_withdraw"),
]
