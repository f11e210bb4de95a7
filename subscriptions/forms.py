"""The forms of this app's pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core.form_fields import LongTextField, SeatsField
from accounts.core.formats import money
from subscriptions.billing.offers import Offer, PlanOnSale
from subscriptions.ending.cancellation import CHOSEN, MAX_COMMENT
from subscriptions.plan import Interval


class CancellationForm(forms.Form):
    """Both questions are optional: nobody has to explain themselves to leave."""

    reason = forms.ChoiceField(
        label=_("Why are you leaving?"), required=False, choices=[("", _("I'd rather not say")), *CHOSEN]
    )
    comment = LongTextField(label=_("What could we have done better?"), limit=MAX_COMMENT, rows=4, required=False)


class PurchaseForm(forms.Form):
    """How to buy one plan: how it is billed, for how many. Several stand on one page: each has ids of its own."""

    seats = SeatsField(label=_("Seats"))

    field_order = ("interval", "seats")

    def __init__(self, on_sale: PlanOnSale, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "auto_id": f"{on_sale.plan.pk}-%s"})
        self.on_sale = on_sale
        offers = {int(offer.interval): offer for offer in on_sale.offers}
        self.fields["interval"] = forms.TypedChoiceField(
            label=_("Billed"), choices=[(interval, _worded(offer)) for interval, offer in offers.items()], coerce=int
        )
        if self.initial.get("interval") not in offers:
            self.initial["interval"] = next(iter(offers))
        self.order_fields(self.field_order)


def _worded(offer: Offer) -> str:
    price = money(offer.cents, offer.currency)
    if offer.interval == Interval.ANNUAL:
        return gettext("yearly: %(price)s a seat") % {"price": price}
    return gettext("monthly: %(price)s a seat") % {"price": price}
