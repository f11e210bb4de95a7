"""What staff can do to subscriptions at the support desk. Registered by `SubscriptionsConfig.ready`."""

import uuid
from datetime import datetime
from typing import Any, cast

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import clock, roles
from accounts.core.form_fields import InstantField, MoneyField, NameField, SeatsField
from accounts.core.formats import brief, money
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.desk.actions.action import Act, ActForm, Values
from accounts.desk.actions.fields import IdentityField
from accounts.desk.own.account_actions import itself
from accounts.models import Account
from subscriptions import changes, contracts, recording
from subscriptions.ending import cancellation
from subscriptions.ending.cancellation import CHOSEN, Cancellation
from subscriptions.plan import Interval, Plan
from subscriptions.subscription import MARKETPLACES, MAX_ORDER_REFERENCE, Channel, Subscription


def of_subscription(subscription: Subscription) -> uuid.UUID:
    return subscription.account_id


def _is_running_contract(found: Subscription, at: datetime) -> bool:
    return found.channel == Channel.DATADOG_SALES and found.settled_at is None and bool(found.ends_at)


def _can_be_ended_here(found: Subscription, at: datetime) -> bool:
    """Whoever bought at AWS ends it there: AWS would go on charging for what was ended here alone."""
    return found.settled_at is None and found.is_live(at) and found.channel != Channel.AWS_MARKETPLACE


class EndsAtAws(Refused):
    text = _(
        "AWS Marketplace bills this subscription and would go on charging. It is ended there: by the customer in their "
        "AWS account, or by a cancellation request of ours in the AWS Marketplace Management Portal."
    )


class CancelForm(ActForm):
    why = forms.ChoiceField(label=_("The owner's reason"), choices=[("", _("not said")), *CHOSEN], required=False)
    identity = IdentityField()


class _PlanForm(ActForm):
    """Offers the plans that are sold."""

    plan = forms.ModelChoiceField(label=_("Plan"), queryset=Plan.objects.none())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plans = cast("forms.ModelChoiceField[Plan]", self.fields["plan"])
        plans.queryset = Plan.objects.sold(clock.now()).order_by("code")


class RecordSubscriptionForm(_PlanForm):
    interval = forms.TypedChoiceField(label=_("Billed"), choices=Interval.choices, coerce=int)
    seats = SeatsField(label=_("Seats"), initial=1)
    price = MoneyField(label=_("Price of a seat and cycle"), required=False, help_text=_("Empty: the list price."))
    starts_at = InstantField(label=_("Begins"))
    order_reference = NameField(
        label=_("Order reference"),
        limit=MAX_ORDER_REFERENCE,
        required=False,
        help_text=_("What your payment system calls it, if it has a name there. The owner reads it."),
    )


class _TermsForm(_PlanForm):
    """What both a first contract and one that follows another say."""

    seats = SeatsField(label=_("Seats"))
    order_reference = NameField(label=_("Order reference"), limit=MAX_ORDER_REFERENCE)
    price = MoneyField(label=_("Price of a seat and year"), required=False, help_text=_("Empty: the list price."))


class EnterContractForm(_TermsForm):
    starts_at = InstantField(label=_("Begins"))
    ends_at = InstantField(label=_("Ends"))


class ExtendContractForm(ActForm):
    ends_at = InstantField(label=_("Ends"))


class RenewContractForm(_TermsForm):
    price = MoneyField(label=_("Price of a seat and year"), required=False, help_text=_("Empty: as before."))
    ends_at = InstantField(label=_("Ends"))


def cancel(subscription: Subscription, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    found, new = cancellation.cancel(subscription, by=by, at=at, reason=values["why"], identity=values["identity"])
    if not new:
        return None
    return gettext("%(reference)s: the subscription ends on %(when)s.") % {
        "reference": found.reference,
        "when": brief(found.effective_at),
    }


def keep(found: Cancellation, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The subscription goes on as before.") if cancellation.withdraw(found, by=by, at=at) else None


def record_subscription(account: Account, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    made, new = recording.record(
        account,
        plan=values["plan"],
        interval=Interval(values["interval"]),
        seats=values["seats"],
        cents=values["price"],
        starts_at=values["starts_at"],
        order_reference=values["order_reference"],
        by=by,
        at=at,
    )
    if not new:
        return None
    return gettext(
        "The subscription to %(plan)s runs from %(start)s: %(price)s %(interval)s. Nothing here charges for it."
    ) % {
        "plan": made.plan.name,
        "start": brief(made.started_at),
        "price": money(made.total_cents, made.currency),
        "interval": made.get_interval_display(),
    }


def enter_contract(account: Account, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    contract, new = contracts.enter(
        account,
        plan=values["plan"],
        starts_at=values["starts_at"],
        ends_at=values["ends_at"],
        seats=values["seats"],
        order_reference=values["order_reference"],
        cents=values["price"],
        by=by,
        at=at,
    )
    return _contract_runs(contract) if new else None


def extend_contract(contract: Subscription, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    if not contracts.extend(contract, ends_at=values["ends_at"], by=by, at=at):
        return None
    contract.refresh_from_db()
    return _contract_runs(contract)


def renew_contract(contract: Subscription, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    renewed, new = contracts.renew(
        contract,
        ends_at=values["ends_at"],
        order_reference=values["order_reference"],
        plan=values["plan"],
        seats=values["seats"],
        cents=values["price"],
        by=by,
        at=at,
    )
    return _contract_runs(renewed) if new else None


def _contract_runs(contract: Subscription) -> str:
    assert contract.ends_at is not None
    return gettext("The contract %(reference)s runs from %(start)s to %(end)s.") % {
        "reference": contract.order_reference,
        "start": brief(contract.started_at),
        "end": brief(contract.ends_at),
    }


def end_now(subscription: Subscription, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    if subscription.channel == Channel.AWS_MARKETPLACE:
        raise EndsAtAws
    if not changes.end_now(subscription, by=by, at=at):
        return None
    if subscription.channel in MARKETPLACES:
        return gettext(
            "The subscription has ended here; %(marketplace)s goes on charging until it is cancelled there."
        ) % {"marketplace": subscription.get_channel_display()}
    return gettext("The subscription has ended; the account is on Free.")


ACTIONS = (
    Act(
        "cancel",
        _("Cancel on behalf of the owner"),
        Subscription,
        roles.CANCEL,
        cancel,
        account_of=of_subscription,
        offered=lambda found, at: found.channel == Channel.DIRECT and found.is_live(at) and found.ends_at is None,
        form=CancelForm,
        is_grave=True,
        in_bulk=True,
    ),
    Act(
        "keep",
        _("Keep the subscription after all"),
        Cancellation,
        roles.CANCEL,
        keep,
        account_of=lambda found: found.subscription.account_id,
        offered=lambda found, at: (
            found.withdrawn_at is None and found.carried_out_at is None and at < found.effective_at
        ),
        in_bulk=True,
    ),
    Act(
        "record_subscription",
        _("Record a direct subscription"),
        Account,
        roles.SELL,
        record_subscription,
        account_of=itself,
        offered=lambda account, at: account.purging_at is None,
        form=RecordSubscriptionForm,
    ),
    Act(
        "enter_contract",
        _("Enter a contract"),
        Account,
        roles.SELL,
        enter_contract,
        account_of=itself,
        offered=lambda account, at: account.purging_at is None,
        form=EnterContractForm,
    ),
    Act(
        "extend_contract",
        _("Extend the contract"),
        Subscription,
        roles.SELL,
        extend_contract,
        account_of=of_subscription,
        offered=_is_running_contract,
        form=ExtendContractForm,
        in_bulk=True,
    ),
    Act(
        "renew_contract",
        _("Renew with a new contract"),
        Subscription,
        roles.SELL,
        renew_contract,
        account_of=of_subscription,
        offered=_is_running_contract,
        form=RenewContractForm,
    ),
    Act(
        "end_now",
        _("End at once"),
        Subscription,
        roles.END,
        end_now,
        account_of=of_subscription,
        offered=_can_be_ended_here,
        is_grave=True,
        in_bulk=True,
    ),
)
