"""What support leads can do to the catalogue: plans, what they grant, and what they cost. Declared in the extension."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.core.form_fields import InstantField, MoneyField, NameField, in_currency
from accounts.core.formats import brief, money
from accounts.customers import features
from accounts.customers.history import Actor
from accounts.desk.actions.action import Act, ActForm, Row, Values
from subscriptions import catalogue
from subscriptions.plan import CURRENCY, FREE, Interval, Plan, Price
from subscriptions.pricing import repricing

MAX_CODE = 40
MAX_NAME = 100
NEW_PURCHASES, EXISTING_TOO = "new", "existing"


def of_nobody(row: Row) -> None:
    """The catalogue is nobody's account."""


def plan_url(plan: Plan) -> str:
    return reverse("admin:subscriptions_plan_change", args=[plan.pk])


def _list_url(row: Row) -> str:
    return reverse("admin:subscriptions_plan_changelist")


class FeaturesField(forms.MultipleChoiceField):
    """What the product has registered; a plan may grant none of it."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Features"), choices=features.choices, required=False, widget=forms.CheckboxSelectMultiple
        )


class CurrencyField(forms.CharField):
    """An ISO 4217 code."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Currency"),
            initial=CURRENCY,
            max_length=3,
            validators=[RegexValidator(r"\A[A-Z]{3}\Z", _("Three capital letters, such as USD or EUR."))],
        )


class NewPlanForm(ActForm):
    code = forms.SlugField(
        label=_("Code"),
        max_length=MAX_CODE,
        help_text=_("For the API and your own systems, such as `team`. It never changes."),
    )
    name = NameField(label=_("Name"), limit=MAX_NAME, help_text=_("What customers read."))
    features = FeaturesField()
    monthly = MoneyField(label=_("Price of a seat and month"), required=False)
    annual = MoneyField(
        label=_("Price of a seat and year"),
        required=False,
        help_text=_("Without any price it is sold by contract alone. More can be set afterwards."),
    )
    currency = CurrencyField()

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        in_currency(self, self.cleaned_data.get("currency", CURRENCY), "monthly", "annual")
        return cleaned


class ChangePlanForm(ActForm):
    name = NameField(label=_("Name"), limit=MAX_NAME)
    features = FeaturesField()

    def __init__(self, *args: Any, row: Row | None = None, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        if row is not None:
            name, granted = self.fields["name"], self.fields["features"]
            name.initial, granted.initial = row.name, row.features
            granted.help_text = _(
                "What you add, everybody who holds this plan has at once. Nothing can be taken from those who were "
                "sold it: to sell less, retire this plan and make another one."
            )
            # A code of a product that is not installed just now stays ticked: nobody loses it by a change of name.
            unknown = [(code, code) for code in features.unknown(row.features)]
            granted.choices = [*features.choices(), *unknown]  # type: ignore[attr-defined]  # a field of choices


class SetPriceForm(ActForm):
    interval = forms.TypedChoiceField(label=_("Billed"), choices=Interval.choices, coerce=int)
    currency = CurrencyField()
    price = MoneyField(label=_("Price of a seat and cycle"))
    from_at = InstantField(label=_("From"), required=False)
    whom = forms.ChoiceField(
        label=_("For whom"),
        choices=[
            (NEW_PURCHASES, _("for new purchases alone: who has the plan keeps their price")),
            (EXISTING_TOO, _("for existing subscriptions as well, from a later cycle of theirs, with notice")),
        ],
        initial=NEW_PURCHASES,
        widget=forms.RadioSelect,
    )
    notice_days = forms.IntegerField(
        label=_("Days of notice"),
        min_value=catalogue.LEAST_NOTICE.days,
        max_value=catalogue.MOST_NOTICE.days,
        initial=catalogue.NOTICE.days,
        help_text=_(
            "How long before the first cycle at the new price the owners of existing subscriptions are told by mail."
        ),
    )
    #: What the list said when this page was shown: another tab may have changed it.
    decided_by = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, row: Row | None = None, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        if isinstance(row, Plan):
            self.fields["decided_by"].initial = catalogue.list_of(row)
        self.fields["from_at"].help_text = _("In your time zone. Empty: at once.")

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        in_currency(self, self.cleaned_data.get("currency", CURRENCY), "price")
        return cleaned


def new_plan(row: None, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    plan = catalogue.make_plan(values["code"], values["name"], values["features"], at=at)
    prices = ((Interval.MONTHLY, values["monthly"]), (Interval.ANNUAL, values["annual"]))
    listed = []
    for interval, cents in prices:
        if cents is not None:
            price, _new = catalogue.set_price(plan, interval=interval, currency=values["currency"], cents=cents, at=at)
            listed.append(f"{money(price.cents, price.currency)} ({price.get_interval_display()})")
    if not listed:
        return gettext("The plan %(plan)s can be sold by contract from now on: it has no list price.") % {
            "plan": plan.name
        }
    bought = gettext("The plan %(plan)s can be bought from now on.") % {"plan": plan.name}
    costs = gettext("A seat costs %(prices)s.") % {"prices": ", ".join(listed)}
    return f"{bought} {costs}"


def change_plan(plan: Plan, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    added = set(values["features"]) - set(plan.features)
    if not catalogue.change_plan(plan, name=values["name"], features=values["features"], at=at):
        return None
    count = catalogue.held(plan, at)
    if not added or not count:
        return gettext("The plan is changed; nobody who holds it gains or loses anything.")
    return ngettext(
        "The plan is changed: %(count)s subscription has what was added at once.",
        "The plan is changed: %(count)s subscriptions have what was added at once.",
        count,
    ) % {"count": count}


def retire_plan(plan: Plan, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    if not catalogue.retire(plan, at=at):
        return None
    count = catalogue.held(plan, at)
    return ngettext(
        "Nobody can buy the plan any more. %(count)s subscription keeps it, and renews.",
        "Nobody can buy the plan any more. %(count)s subscriptions keep it, and renew.",
        count,
    ) % {"count": count}


def sell_plan_again(plan: Plan, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The plan is sold again, at the prices on its list.") if catalogue.sell_again(plan, at=at) else None


def delete_plan(plan: Plan, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    catalogue.delete(plan, at=at)
    return gettext("The plan is deleted. Nobody ever bought it.")


def set_price(plan: Plan, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    for_existing = values["whom"] == EXISTING_TOO
    notice = timedelta(days=values["notice_days"]) if for_existing else None
    price, is_new = catalogue.set_price(
        plan,
        interval=Interval(values["interval"]),
        currency=values["currency"],
        cents=values["price"],
        from_at=values["from_at"],
        notice=notice,
        decided_by=values["decided_by"],
        at=at,
    )
    return _what_it_means(price) if is_new else None


def _what_it_means(price: Price) -> str:
    assert price.from_at is not None
    said = gettext("%(price)s %(interval)s for who buys from %(when)s on.") % {
        "price": money(price.cents, price.currency),
        "interval": price.get_interval_display(),
        "when": brief(price.from_at),
    }
    if price.notice_days is None:
        kept = gettext("Who has the plan keeps their price; nobody is sent a mail.")
        return f"{said} {kept}"
    meant, others = repricing.meant_by(price).count(), repricing.left_alone_by(price).count()
    told = ngettext(
        "The owner of %(count)s subscription is told by mail %(days)s days before the first cycle at this price, which "
        "begins after that date.",
        "The owners of %(count)s subscriptions are told by mail %(days)s days before the first cycle at this price, "
        "which begins after that date.",
        meant,
    ) % {"count": meant, "days": price.notice_days}
    left = ngettext(
        "%(count)s other is left as it is: it is cancelled, or has a price of its own.",
        "%(count)s others are left as they are: they are cancelled, or have prices of their own.",
        others,
    ) % {"count": others}
    return f"{said} {told} {left}" if others else f"{said} {told}"


def stop_price(price: Price, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    stopped = catalogue.stop_price(price, at=at)
    return gettext("Nobody can buy at this price any more; who has it keeps it.") if stopped else None


def call_off_price(price: Price, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    told = price.repricings.open().filter(told_at__isnull=False).count()
    if not catalogue.call_off(price, at=at):
        return None
    if not told:
        return gettext("The price does not come; nobody had been told of it.")
    return ngettext(
        "The price does not come. %(count)s owner who had been told of it is told so by mail.",
        "The price does not come. %(count)s owners who had been told of it are told so by mail.",
        told,
    ) % {"count": told}


def _is_free(plan: Plan) -> bool:
    return plan.code == FREE


def _current(price: Price, at: datetime) -> bool:
    begun = price.from_at is None or price.from_at <= at
    return begun and price.until_at is None and price.called_off_at is None


ACTIONS = (
    Act(
        "new_plan",
        _("New plan"),
        Plan,
        roles.PLANS,
        new_plan,
        account_of=of_nobody,
        form=NewPlanForm,
        makes=True,
        leads_to=_list_url,
    ),
    Act(
        "set_price",
        _("Set a price"),
        Plan,
        roles.PLANS,
        set_price,
        account_of=of_nobody,
        offered=lambda plan, at: not _is_free(plan) and plan.retired_at is None,
        form=SetPriceForm,
        leads_to=plan_url,
    ),
    Act(
        "change_plan",
        _("Change name or features"),
        Plan,
        roles.PLANS,
        change_plan,
        account_of=of_nobody,
        form=ChangePlanForm,
        leads_to=plan_url,
    ),
    Act(
        "retire_plan",
        _("Sell it no longer"),
        Plan,
        roles.PLANS,
        retire_plan,
        account_of=of_nobody,
        offered=lambda plan, at: not _is_free(plan) and plan.retired_at is None,
        is_grave=True,
        leads_to=plan_url,
    ),
    Act(
        "sell_plan_again",
        _("Sell it again"),
        Plan,
        roles.PLANS,
        sell_plan_again,
        account_of=of_nobody,
        offered=lambda plan, at: plan.retired_at is not None,
        leads_to=plan_url,
    ),
    Act(
        "delete_plan",
        _("Delete it"),
        Plan,
        roles.PLANS,
        delete_plan,
        account_of=of_nobody,
        offered=lambda plan, at: not _is_free(plan) and not catalogue.was_sold(plan),
        is_grave=True,
        leads_to=_list_url,
    ),
    Act(
        "stop_price",
        _("Sell at this price no longer"),
        Price,
        roles.PLANS,
        stop_price,
        account_of=of_nobody,
        offered=_current,
        is_grave=True,
        leads_to=lambda price: plan_url(price.plan),
    ),
    Act(
        "call_off_price",
        _("Call this price off"),
        Price,
        roles.PLANS,
        call_off_price,
        account_of=of_nobody,
        offered=lambda price, at: bool(price.from_at and price.from_at > at and price.called_off_at is None),
        is_grave=True,
        leads_to=lambda price: plan_url(price.plan),
    ),
)
