from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BlueprintsConfig(AppConfig):
    """The product being sold in the demo: drawings, and connections to clouds. A guest, named in `PRODUCT_APPS`."""

    name = "accounts.blueprints"
    label = "blueprints"
    verbose_name = _("Blueprints")

    def ready(self) -> None:
        from accounts.blueprints.extension import EXTENSION

        EXTENSION.install()
