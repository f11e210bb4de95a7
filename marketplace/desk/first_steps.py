"""Marketplaces, for who sells there."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.desk.dashboard.first_steps import FirstStep

STEPS = (
    FirstStep(
        "marketplaces",
        70,
        _("Marketplaces"),
        _("If you sell on GitHub or AWS Marketplace: docs/github-marketplace.md and docs/aws-marketplace.md say how."),
        lambda: bool(settings.GITHUB_WEBHOOK_SECRETS or settings.AWS_PRODUCT_CODES),
        is_needed=lambda: False,
    ),
)
