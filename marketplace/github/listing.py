"""The plans of our GitHub Marketplace listing, and which of our plans each one grants."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from marketplace.github.payloads import ListedPlan
from subscriptions.models import Plan
from subscriptions.plan import FREE

#: What a paid plan grants that nobody has mapped yet: better too much for a day than a paying customer locked out.
PAID_DEFAULT = "pro"


class ListingPlan(models.Model):
    """A plan as GitHub describes it. A removed plan stays: its customers keep it until they leave
    (facts/github-marketplace, 3.3).
    """

    id = models.BigIntegerField(_("GitHub's id"), primary_key=True)
    name = models.CharField(_("name"), max_length=200)
    monthly_cents = models.PositiveIntegerField(_("monthly price in cents"), default=0)
    yearly_cents = models.PositiveIntegerField(_("yearly price in cents"), default=0)
    price_model = models.CharField(_("price model"), max_length=40, blank=True)
    #: What the URL for an upgrade takes, instead of the id.
    number = models.PositiveIntegerField(_("number"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=40, blank=True)
    plan = models.ForeignKey(
        Plan,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("grants"),
        help_text=_("Empty: a paid plan grants Pro, a free one Free, and staff are told."),
    )

    objects: ClassVar[models.Manager["ListingPlan"]] = models.Manager()

    class Meta:
        verbose_name = _("listing plan")
        verbose_name_plural = _("listing plans")

    def __str__(self) -> str:
        return self.name

    @property
    def is_paid(self) -> bool:
        return self.monthly_cents > 0 or self.yearly_cents > 0

    @property
    def granted_plan_id(self) -> str:
        """The code of the plan that its customers are on; never nothing."""
        return self.plan_id or (PAID_DEFAULT if self.is_paid else FREE)

    @property
    def granted_plan(self) -> Plan:
        """The plan that its customers are on."""
        return self.plan or Plan.objects.get(pk=self.granted_plan_id)


def learn(plan: ListedPlan) -> ListingPlan:
    """The row of a plan that GitHub mentioned, made or brought up to date.

    Nearly every message says what is known: then nothing is written, so that messages about a plan don't wait for each
    other.
    """
    fields: dict[str, object] = {
        "name": plan.name,
        "monthly_cents": plan.monthly_cents,
        "yearly_cents": plan.yearly_cents,
        "price_model": plan.price_model,
    }
    # Only REST knows these; a webhook must not wipe them out.
    if plan.number is not None:
        fields["number"] = plan.number
    if plan.state:
        fields["state"] = plan.state
    row = ListingPlan.objects.select_related("plan").filter(id=plan.id).first()
    if row is None or any(getattr(row, name) != value for name, value in fields.items()):
        row, _created = ListingPlan.objects.update_or_create(id=plan.id, defaults=fields)
    return row
