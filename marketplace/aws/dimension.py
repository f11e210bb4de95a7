"""The dimensions of our products at AWS Marketplace, and which of our plans each one grants."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from subscriptions.models import Plan

#: What is granted where nobody has said yet: better too much for a day than a paying customer locked out. It is also
#: what a pay-as-you-go purchase grants, of which AWS names no dimension.
DEFAULT = "pro"


class Dimension(models.Model):
    """What AWS calls a category of capacity in a product. Made when it is first seen in an entitlement."""

    product_code = models.CharField(_("product code"), max_length=64)
    name = models.CharField(_("dimension"), max_length=255)
    plan = models.ForeignKey(
        Plan,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("grants"),
        help_text=_("Empty: grants Pro, and staff are told. Free for what adds to a plan and grants none by itself."),
    )

    objects: ClassVar[models.Manager["Dimension"]] = models.Manager()

    class Meta:
        verbose_name = _("AWS dimension")
        verbose_name_plural = _("AWS dimensions")
        constraints = [models.UniqueConstraint(fields=["product_code", "name"], name="dimension_is_unique")]

    def __str__(self) -> str:
        return f"{self.product_code} {self.name}"

    @property
    def granted_plan_id(self) -> str:
        """The code of the plan that its holders are on; never nothing."""
        return self.plan_id or DEFAULT


def learn(product_code: str, name: str) -> Dimension:
    """The row of a dimension that AWS mentioned, made if it is new."""
    row, _created = Dimension.objects.select_related("plan").get_or_create(
        product_code=product_code[:64], name=name[:255]
    )
    return row
