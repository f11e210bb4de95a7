"""Plans and their prices."""

from collections.abc import Collection
from datetime import datetime
from typing import Self

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeBoundary, RangeOperators
from django.core.checks import Tags, Warning, register
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from accounts.core.currencies import plain
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


class PlanQuerySet(models.QuerySet["Plan"]):
    def free(self) -> "Plan":
        return self.get(code=FREE)

    def sold(self, at: datetime) -> Self:
        """Those that can be bought at `at`: neither retired, nor what everybody has for nothing."""
        return self.exclude(code=FREE).filter(models.Q(retired_at=None) | models.Q(retired_at__gt=at))

    def granting_unknown_features(self) -> Self:
        """Those that grant what no product has registered: a code misspelt, or of a product that is not installed."""
        return self.exclude(features__contained_by=features.codes())


class Plan(models.Model):
    """What is sold: a name and the features that it grants. Changed at the desk (`subscriptions.catalogue`)."""

    code = models.SlugField(_("code"), primary_key=True, max_length=40)
    name = models.CharField(_("name"), max_length=100)
    #: Codes that the product registers (`accounts.customers.features`); one that it does not is named by `doctor`.
    features = ArrayField(
        models.CharField(max_length=features.MAX_CODE), verbose_name=_("features"), default=list, blank=True
    )
    #: From then on nobody buys it; who has it keeps it.
    retired_at = models.DateTimeField(_("no longer sold since"), null=True, blank=True, editable=False)

    objects = PlanQuerySet.as_manager()

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(code=FREE) | models.Q(retired_at=None), name="plan_free_is_never_retired"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class _Validity(models.Func):
    """The half-open period in which a price is the one on the list; open where nothing is set."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class PriceQuerySet(models.QuerySet["Price"]):
    def standing(self) -> Self:
        """Not what was called off before it began."""
        return self.filter(called_off_at=None)

    def on_the_list(self, at: datetime) -> Self:
        """What the list says at `at`: one price at most of a plan, interval and currency."""
        begun = models.Q(from_at=None) | models.Q(from_at__lte=at)
        return self.standing().filter(begun, models.Q(until_at=None) | models.Q(until_at__gt=at))

    def ahead(self, at: datetime) -> Self:
        """Decided at `at`, and to be on the list later."""
        return self.standing().filter(from_at__gt=at)


class Price(models.Model):
    """What a plan costs a seat and cycle when it is bought within a period. Past prices stay: they are history.

    A subscription keeps the price that it was bought at, unless whoever decided the new one gave it `notice_days`: then
    it is for existing subscriptions as well (`subscriptions.pricing`).
    """

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="prices", verbose_name=_("plan"))
    interval = models.PositiveSmallIntegerField(_("billed"), choices=Interval.choices)
    cents = models.PositiveIntegerField(_("price in cents"))
    currency = models.CharField(_("currency"), max_length=3, default=CURRENCY)
    #: Purchases from then on, up to, not including, `until_at`. None: ever since, and for good.
    from_at = models.DateTimeField(_("from"), null=True, blank=True, editable=False)
    until_at = models.DateTimeField(_("until"), null=True, blank=True, editable=False)
    #: How long before they pay it owners of existing subscriptions are told. None: it is for new purchases alone.
    notice_days = models.PositiveSmallIntegerField(_("days of notice"), null=True, blank=True, editable=False)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True, editable=False)
    called_off_at = models.DateTimeField(_("called off"), null=True, blank=True, editable=False)

    objects = PriceQuerySet.as_manager()

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        constraints = [
            ExclusionConstraint(
                name="price_one_at_a_time",
                expressions=[
                    ("plan", RangeOperators.EQUAL),
                    ("interval", RangeOperators.EQUAL),
                    ("currency", RangeOperators.EQUAL),
                    (_Validity("from_at", "until_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=models.Q(called_off_at=None),
            ),
            models.CheckConstraint(
                condition=models.Q(until_at=None)
                | models.Q(from_at=None)
                | models.Q(until_at__gte=models.F("from_at")),
                name="price_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=models.Q(called_off_at=None) | models.Q(called_off_at__lt=models.F("from_at")),
                name="price_called_off_in_time",
            ),
            models.CheckConstraint(
                condition=models.Q(notice_days=None) | models.Q(from_at__isnull=False, decided_at__isnull=False),
                name="price_for_existing_is_decided",
            ),
            models.CheckConstraint(condition=models.Q(interval__in=Interval.values), name="price_interval_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} {self.get_interval_display()} {plain(self.cents, self.currency)} {self.currency}"


@register(Tags.database)
def unknown_features(databases: Collection[str] | None = None, **kwargs: object) -> list[Warning]:
    """Names each plan that grants what nobody has registered. Run by `check --database default` and `migrate`."""
    there = databases and Plan._meta.db_table in connection.introspection.table_names()
    # `migrate` asks before it adds what a newer version's plans have: no column is read but these two.
    plans = Plan.objects.granting_unknown_features().only("code", "features").order_by("code") if there else ()
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
