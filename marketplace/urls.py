from django.urls import path

from marketplace.views import api, github_setup, github_webhook

urlpatterns = [
    path("marketplace/github/webhook/", github_webhook.webhook, name="github_webhook"),
    path("marketplace/github/setup/", github_setup.setup, name="github_setup"),
    path("marketplace/github/stay/", github_setup.stay, name="github_stay"),
    path("api/accounts/<uuid:account_id>/github-hooks/", api.github_hooks, name="api_github_hooks"),
]
