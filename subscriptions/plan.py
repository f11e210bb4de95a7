"""Plans and their prices."""

from collections.abc import Collection
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.checks import Tags, Warning, register
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from accounts.customers import features
from accounts.jobs.invariants import Invariant

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

    def granting_unknown_features(self) -> models.QuerySet["Plan"]:
        """Those that grant what no product has registered: a code misspelt, or of a product that is not installed."""
        return self.exclude(features__contained_by=features.codes())


class Plan(models.Model):
    """What is sold: a name and the features that it grants. The rows come with the migrations."""

    code = models.SlugField(_("code"), primary_key=True, max_length=40)
    name = models.CharField(_("name"), max_length=100)
    #: Codes that the product registers (`accounts.customers.features`); one that it does not is named by `doctor`.
    features = ArrayField(
        models.CharField(max_length=features.MAX_CODE), verbose_name=_("features"), default=list, blank=True
    )

    objects: ClassVar[PlanManager] = PlanManager()

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")

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


@register(Tags.database)
def unknown_features(databases: Collection[str] | None = None, **kwargs: object) -> list[Warning]:
    """Names each plan that grants what nobody has registered. Run by `check --database default` and `migrate`."""
    there = databases and Plan._meta.db_table in connection.introspection.table_names()
    plans = Plan.objects.granting_unknown_features().order_by("code") if there else ()
    return [
        Warning(
            f"The plan {plan.code!r} grants {', '.join(features.unknown(plan.features))}: registered by no product.",
            hint="Name the product's app in PRODUCT_APPS, or its file in PRODUCT_FILE, or mend the plan.",
            id="subscriptions.W001",
        )
        for plan in plans
    ]


INVARIANTS = (
    Invariant(
        "unknown-feature",
        _("plans grant a feature that no product has registered"),
        lambda at: Plan.objects.granting_unknown_features(),
        warning=True,
    ),
)
