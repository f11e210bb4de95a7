"""A price at Stripe, and which of our plans it buys.

Staff map it at the desk, or Stripe's own data do: a lookup key that names the plan, else `offboard_plan` in the
metadata of its product. Never its name or amount. What we can't sell as it is stays unmapped, with
the reason; a subscription at an unmapped price is shown to staff and otherwise left alone: one Stripe account may serve
other products as well.
"""

import re
from datetime import datetime
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from subscriptions.billing.holding import MAX_REFERENCE
from subscriptions.plan import FREE, Interval, Plan

#: Stripe's limit for lookup keys.
MAX_LOOKUP_KEY = 200


class Unmapped(models.TextChoices):
    """Why a price buys none of our plans."""

    NO_PLAN = "no_plan", _("nobody has said which plan it buys")
    NOT_RECURRING = "not_recurring", _("it is paid once")
    INTERVAL = "interval", _("billed neither monthly nor annually")
    METERED = "metered", _("billed by usage")
    NO_AMOUNT = "no_amount", _("no fixed amount for a seat: tiers, packages or fractions")
    CURRENCY = "currency", _("a currency that is not known here")


class StripePriceQuerySet(models.QuerySet["StripePrice"]):
    def mapped(self) -> Self:
        """Those that buy a plan, whether or not they are sold still."""
        return self.filter(unmapped_because="", plan__isnull=False)

    def sold(self) -> Self:
        """Those that can be bought."""
        return self.mapped().filter(active=True)

    def to_be_mapped(self) -> Self:
        """Those that staff should look at: they could buy a plan, and are sold."""
        return self.filter(unmapped_because=Unmapped.NO_PLAN, active=True, mapped_at=None)


class StripePrice(models.Model):
    """What Stripe was last read to say of it. Amounts in the currency's minor unit, for one seat and one cycle."""

    reference = models.CharField(_("Stripe’s id"), max_length=MAX_REFERENCE, unique=True)
    lookup_key = models.CharField(_("lookup key"), max_length=MAX_LOOKUP_KEY, blank=True)
    product = models.CharField(_("product"), max_length=MAX_REFERENCE, blank=True)
    #: What the metadata of its product say (`offboard_plan`).
    product_says = models.CharField(_("plan, as its product says"), max_length=100, blank=True)
    plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("plan")
    )
    interval = models.PositiveSmallIntegerField(_("billed"), choices=Interval.choices, null=True, blank=True)
    cents = models.PositiveBigIntegerField(_("price in cents"), null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    active = models.BooleanField(_("sold"), default=True)
    unmapped_because = models.CharField(_("unmapped because"), max_length=20, choices=Unmapped.choices, blank=True)
    #: Staff have said which plan it buys: what Stripe's data say no longer counts.
    mapped_at = models.DateTimeField(_("mapped by staff"), null=True, blank=True)
    read_at = models.DateTimeField(_("read"))

    objects = StripePriceQuerySet.as_manager()

    class Meta:
        verbose_name = _("Stripe price")
        verbose_name_plural = _("Stripe prices")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(unmapped_because__in=["", *Unmapped.values]), name="stripe_price_reason_is_known"
            ),
            models.CheckConstraint(
                condition=~models.Q(unmapped_because="")
                | models.Q(plan__isnull=False, interval__in=Interval.values, cents__isnull=False),
                name="stripe_price_is_mapped_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.lookup_key or self.reference

    @property
    def is_mapped(self) -> bool:
        return not self.unmapped_because

    def map_by_itself(self, unfit: Unmapped | None) -> None:
        """Decide which plan it buys, by what staff said, else by what Stripe says. Not saved yet."""
        if self.mapped_at is None:
            self.plan = plan_named(self.lookup_key) or plan_named(self.product_says, exactly=True)
        self.unmapped_because = unfit or ("" if self.plan else Unmapped.NO_PLAN)


def plan_named(key: str, *, exactly: bool = False) -> Plan | None:
    """The plan that a lookup key names: its code, alone or before a sign, such as `pro-annual` or `pro_eur`.

    Of several the longest code. The free plan is bought by nobody.
    """
    if not key:
        return None
    plans = Plan.objects.exclude(code=FREE)
    fitting = [
        plan for plan in plans if key == plan.code or (not exactly and re.match(rf"{re.escape(plan.code)}[-_.:]", key))
    ]
    return max(fitting, key=lambda plan: len(plan.code), default=None)


def map_price(price: StripePrice, plan: Plan | None, *, at: datetime) -> None:
    """Staff say which plan a price buys; None: none, whatever Stripe's data say.

    What can't be sold as it is stays unmapped all the same. Who subscribes at it is taken over with the next check.
    """
    price.plan, price.mapped_at = plan, at
    price.map_by_itself(Unmapped(price.unmapped_because) if _is_unfit(price) else None)
    price.save(update_fields=["plan", "mapped_at", "unmapped_because"])


def _is_unfit(price: StripePrice) -> bool:
    return price.unmapped_because not in ("", Unmapped.NO_PLAN)
