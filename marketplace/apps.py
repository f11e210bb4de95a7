from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MarketplaceConfig(AppConfig):
    """What GitHub and AWS Marketplace tell us, and what follows from it."""

    name = "marketplace"
    verbose_name = _("Marketplaces")

    def ready(self) -> None:
        from marketplace.extension import EXTENSION

        EXTENSION.install()
