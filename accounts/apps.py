from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Customers and what is done for them: people, history, mail, requests to support, erasing."""

    name = "accounts"
    verbose_name = _("Customers")

    def ready(self) -> None:
        from accounts.extension import EXTENSION

        EXTENSION.install()
