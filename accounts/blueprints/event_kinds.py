"""What can happen to an account in the product: the kinds of these events, and their words."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class BlueprintEvent(models.TextChoices):
    BLUEPRINT_CONVERTED = "blueprint.converted", _("Blueprint converted to the standard grid")
