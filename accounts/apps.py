from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Customers and what is done for them: people, history, mail, requests to support, erasing."""

    name = "accounts"
    verbose_name = _("Customers")

    def ready(self) -> None:
        from accounts.customers import product_file
        from accounts.extension import EXTENSION, of_file

        EXTENSION.install()
        if declared := product_file.configured():
            of_file(declared).install()
