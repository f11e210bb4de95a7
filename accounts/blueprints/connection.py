"""Cloud connections: the customer's AWS and Azure accounts, and what was last found in them."""

import uuid
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.blueprints.feature_codes import CLOUD_UPDATES
from accounts.core import clock
from accounts.core.write_guard import refused_while_erasing
from accounts.customers import entitlements
from accounts.customers.account import Account


class CloudProvider(models.TextChoices):
    AWS = "aws", "AWS"
    AZURE = "azure", "Azure"


class CloudConnection(models.Model):
    """One connected cloud account with its newest inventory. Without `cloud_updates` the inventory stays as it is."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="connections", verbose_name=_("account")
    )
    provider = models.CharField(_("provider"), max_length=10, choices=CloudProvider.choices)
    name = models.CharField(_("name"), max_length=200)
    #: A list of objects with `id`, `type`, `name` and `region`, as the product's scanner last sent it.
    resources: "models.JSONField[Any, Any]" = models.JSONField(_("resources"), default=list, blank=True)
    resources_at = models.DateTimeField(_("resources as of"), null=True, blank=True)
    created_at = models.DateTimeField(_("connected"), default=clock.now, editable=False)

    class Meta:
        app_label = "blueprints"
        # As it was called before the product was an app of its own.
        db_table = "accounts_cloudconnection"
        verbose_name = _("cloud connection")
        verbose_name_plural = _("cloud connections")
        ordering = ["provider", "name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(provider__in=CloudProvider.values), name="connection_provider_is_known"
            ),
        ]
        indexes = [models.Index(fields=["account", "provider", "name"], name="connection_of_account")]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return f"{self.get_provider_display()} {self.name}"

    def update_resources(self, resources: list[dict[str, Any]], *, at: datetime) -> Self:
        """Replace the inventory. Raises `NotEntitled` and changes nothing without `cloud_updates`."""
        entitlements.require(CLOUD_UPDATES, self.account, at)
        self.resources, self.resources_at = resources, at
        self.save(update_fields=["resources", "resources_at"])
        return self
