"""Plans and their prices."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.customers.entitlements import Feature

#: The plan of every account without a live subscription.
FREE = "free"


#: What is sold where nobody says otherwise.
CURRENCY = "USD"


class Interval(models.IntegerChoices):
    """How long a billing cycle is, in months."""

    MONTHLY = 1, _("monthly")
    ANNUAL = 12, _("annual")


class PlanManager(models.Manager["Plan"]):
    def free(self) -> "Plan":
        return self.get(code=FREE)


class Plan(models.Model):
    """What is sold: a name and the features that it grants. The rows come with the migrations."""

    code = models.SlugField(_("code"), primary_key=True, max_length=40)
    name = models.CharField(_("name"), max_length=100)
    features = ArrayField(
        models.CharField(max_length=40, choices=Feature.choices), verbose_name=_("features"), default=list, blank=True
    )

    objects: ClassVar[PlanManager] = PlanManager()

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(features__contained_by=Feature.values), name="plan_features_are_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Price(models.Model):
    """What a plan costs a seat and cycle when it is bought today. A subscription keeps the price it was bought at."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="prices", verbose_name=_("plan"))
    interval = models.PositiveSmallIntegerField(_("billed"), choices=Interval.choices)
    cents = models.PositiveIntegerField(_("price in cents"))
    currency = models.CharField(_("currency"), max_length=3, default=CURRENCY)

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        constraints = [
            models.UniqueConstraint(fields=["plan", "interval", "currency"], name="price_is_unique"),
            models.CheckConstraint(condition=models.Q(interval__in=Interval.values), name="price_interval_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} {self.get_interval_display()}"
