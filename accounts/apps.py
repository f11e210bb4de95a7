from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Customers and what they own: people, blueprints, connections, history, mail, requests to support."""

    name = "accounts"
    verbose_name = _("Customers")

    def ready(self) -> None:
        from accounts.blueprints.extension import EXTENSION as PRODUCT
        from accounts.extension import EXTENSION

        # The product first: in an export what customers made comes before what we know of them.
        PRODUCT.install()
        EXTENSION.install()
