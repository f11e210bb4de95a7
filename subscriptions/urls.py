from django.urls import path

from subscriptions.stripe.views import webhook
from subscriptions.views import cancellation, plans, settings

urlpatterns = [
    path("user/subscription/", settings.settings, name="subscription"),
    path("user/subscription/cancellation/", cancellation.cancellation, name="cancellation"),
    path("user/subscription/cancellation/withdraw/", cancellation.withdraw, name="cancellation_withdraw"),
    path("user/subscription/plans/", plans.plans, name="plans"),
    path("user/subscription/plans/bought/", plans.bought, name="bought"),
    path("user/subscription/payment/", plans.payment, name="payment"),
    path("billing/stripe/webhook/", webhook.webhook, name="stripe_webhook"),
]
