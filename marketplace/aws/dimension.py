"""The dimensions of our products at AWS Marketplace, and which of our plans each one grants."""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Protocol

from django.db import models
from django.utils.translation import gettext_lazy as _

from subscriptions.models import Plan, Price
from subscriptions.plan import CURRENCY

#: What is granted where nobody has said yet: better too much for a day than a paying customer locked out. It is also
#: what a pay-as-you-go purchase grants, of which AWS names no dimension.
DEFAULT = "pro"
MOST_SEATS = 1_000_000


class Grant(Protocol):
    """What is needed of an entitlement, however AWS's answer was read (`marketplace.aws.client`)."""

    @property
    def product_code(self) -> str: ...
    @property
    def dimension(self) -> str: ...
    @property
    def quantity(self) -> int | None: ...


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
    row, _created = Dimension.objects.get_or_create(product_code=product_code[:64], name=name[:255])
    return row


class Catalogue:
    """The dimensions and what their plans cost at `at`, read once: for one purchase, or for a walk over all of them."""

    def __init__(self, at: datetime) -> None:
        listed = Price.objects.on_the_list(at).filter(currency=CURRENCY).order_by("cents")
        self._prices = dict(listed.values_list("plan_id", "cents"))
        self._known = {(row.product_code, row.name): row for row in Dimension.objects.all()}

    def granted(self, entitlements: Iterable[Grant]) -> tuple[Dimension, int]:
        """The dearest plan that any of the dimensions grants, and its seats: the sum of all that grant it.

        A dimension that AWS mentions for the first time gets its row.
        """
        # None of a dimension is none of it, if there is some of another.
        some = [each for each in entitlements if each.quantity != 0] or list(entitlements)
        found = [(self._learned(each), 1 if each.quantity is None else each.quantity) for each in some]
        best = max((row for row, _quantity in found), key=lambda row: self._prices.get(row.granted_plan_id, 0))
        seats = sum(quantity for row, quantity in found if row.granted_plan_id == best.granted_plan_id)
        return best, max(1, min(seats, MOST_SEATS))

    def _learned(self, entitled: Grant) -> Dimension:
        name = (entitled.product_code[:64], entitled.dimension[:255])
        if name not in self._known:
            self._known[name] = learn(*name)
        return self._known[name]
