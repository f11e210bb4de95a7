"""Django's admin, with sign-in through the same door as everybody's."""

from django.contrib.admin.apps import AdminConfig


class OffboardAdminConfig(AdminConfig):
    """Puts `config.admin_site.OffboardAdmin` in the place of Django's own site."""

    default_site = "config.admin_site.OffboardAdmin"
