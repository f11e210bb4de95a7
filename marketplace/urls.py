from django.urls import path

from marketplace.aws.views import events, register, sns
from marketplace.github.views import hooks_api, setup, webhook

urlpatterns = [
    path("marketplace/github/webhook/", webhook.webhook, name="github_webhook"),
    path("marketplace/github/setup/", setup.setup, name="github_setup"),
    path("marketplace/github/stay/", setup.stay, name="github_stay"),
    path("marketplace/aws/sns/", sns.notification, name="aws_sns"),
    path("marketplace/aws/events/", events.event, name="aws_events"),
    path("marketplace/aws/register/", register.register, name="aws_register"),
    path("marketplace/aws/register/link/", register.link, name="aws_register_link"),
    path("marketplace/aws/register/join/", register.join, name="aws_register_join"),
    path("marketplace/aws/register/<str:key>/", register.open_registration, name="aws_register_open"),
    path("api/accounts/<uuid:account_id>/github-hooks/", hooks_api.github_hooks, name="api_github_hooks"),
]
