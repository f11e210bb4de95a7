from django.urls import path

from marketplace.views import api, aws_events, aws_register, aws_sns, github_setup, github_webhook

urlpatterns = [
    path("marketplace/github/webhook/", github_webhook.webhook, name="github_webhook"),
    path("marketplace/github/setup/", github_setup.setup, name="github_setup"),
    path("marketplace/github/stay/", github_setup.stay, name="github_stay"),
    path("marketplace/aws/sns/", aws_sns.notification, name="aws_sns"),
    path("marketplace/aws/events/", aws_events.event, name="aws_events"),
    path("marketplace/aws/register/", aws_register.register, name="aws_register"),
    path("marketplace/aws/register/link/", aws_register.link, name="aws_register_link"),
    path("marketplace/aws/register/join/", aws_register.join, name="aws_register_join"),
    path("marketplace/aws/register/<str:key>/", aws_register.open_registration, name="aws_register_open"),
    path("api/accounts/<uuid:account_id>/github-hooks/", api.github_hooks, name="api_github_hooks"),
]
