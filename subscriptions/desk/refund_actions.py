"""What staff can do about refunds at the support desk. Declared in `subscriptions.extension`.

One proposes: of what a payment provider holds, one of the payments that were read there; else with the number that the
payment system has for it. A lead approves, another one than who proposed where it takes two. Where no payment system is
connected, or the provider has no way back to the customer, a lead then pays it and says so.
"""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.core.currencies import plain
from accounts.core.form_fields import MoneyField, NameField, in_currency
from accounts.core.formats import brief, money
from accounts.customers.history import Actor
from accounts.desk.actions.action import Act, ActForm, Values
from accounts.models import RequestKind, SupportRequest
from subscriptions.billing.invoice import InvoicePayment
from subscriptions.desk.actions import of_subscription
from subscriptions.plan import CURRENCY
from subscriptions.refunds import decisions, paying
from subscriptions.refunds.refund import MAX_PAYMENT_REFERENCE, PAID_ELSEWHERE, Ends, Refund
from subscriptions.subscription import Subscription


def _of_refund(refund: Refund) -> Any:
    return refund.subscription.account_id


def _is_undecided(refund: Refund, at: datetime) -> bool:
    return refund.approved_at is None and refund.declined_at is None


def _waits_for_payment(refund: Refund, at: datetime) -> bool:
    return refund.approved_at is not None and refund.accepted_at is None and paying.is_paid_by_staff(refund)


class PaidForm(ActForm):
    payment_reference = NameField(
        label=_("Number in the payment system"),
        limit=MAX_PAYMENT_REFERENCE,
        help_text=_("Of the refund that you have made there."),
    )


class ProposeForm(ActForm):
    amount = MoneyField(label=_("Amount"))
    currency = NameField(label=_("Currency"), limit=3, min_length=3)
    payment_reference = NameField(
        label=_("Number in the payment system"),
        limit=MAX_PAYMENT_REFERENCE,
        help_text=_("Of the payment that is paid back, or of the refund that you have made there."),
    )
    ends = forms.ChoiceField(label=_("The subscription ends"), choices=Ends.choices)
    request = forms.ModelChoiceField(
        label=_("Request"), queryset=SupportRequest.objects.none(), required=False, empty_label=_("none")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.row, Subscription):
            self.initial.setdefault("currency", self.row.currency)
            field = self.fields["request"]
            assert isinstance(field, forms.ModelChoiceField)
            asked = SupportRequest.objects.filter(account=self.row.account_id).open()
            field.queryset = asked.exclude(kind=RequestKind.DELETION)
            self.initial.setdefault("request", asked.filter(kind=RequestKind.REFUND).first())
            if self.row.held_by:
                self._pick_from_payments(self.row)

    def _pick_from_payments(self, subscription: Subscription) -> None:
        """A payment that was read at the provider is picked, not typed; none is asked for over the network here."""
        payments = InvoicePayment.objects.filter(invoice__subscription=subscription).select_related("invoice")
        newest = list(payments.order_by("-paid_at", "-pk"))
        self.fields["payment_reference"] = forms.ChoiceField(
            label=_("Payment"),
            choices=[(payment.reference, _payment_in_words(payment)) for payment in newest],
            help_text=_("As last read at the payment provider."),
        )
        self.fields["is_by_hand"] = forms.BooleanField(
            label=_("We pay it ourselves, another way"),
            required=False,
            help_text=_(
                "Only where the provider has no way back to the customer, such as after a refund that failed: by bank "
                "transfer, for instance. You say afterwards that you have paid it."
            ),
        )
        if newest:
            self.initial.setdefault("amount", plain(newest[0].left_cents, newest[0].invoice.currency))

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        in_currency(self, self.cleaned_data.get("currency", CURRENCY), "amount")
        return cleaned


def _payment_in_words(payment: InvoicePayment) -> str:
    invoice = payment.invoice
    facts = {
        "number": invoice.number or invoice.reference,
        "amount": money(payment.cents, invoice.currency),
        "left": money(payment.left_cents, invoice.currency),
        "when": brief(payment.paid_at) if payment.paid_at else "–",
    }
    if payment.disputed:
        return gettext("%(number)s, %(when)s: %(amount)s, disputed") % facts
    if payment.refunded_cents:
        return gettext("%(number)s, %(when)s: %(amount)s, of which %(left)s are left") % facts
    return gettext("%(number)s, %(when)s: %(amount)s") % facts


def propose(subscription: Subscription, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    refund, new = decisions.propose(
        subscription,
        cents=values["amount"],
        currency=values["currency"],
        ends=Ends(values["ends"]),
        payment_reference=values["payment_reference"],
        request=values["request"],
        is_by_hand=bool(values.get("is_by_hand")),
        by=by,
        at=at,
    )
    if not new:
        return None
    told = {"reference": refund.reference, "amount": money(refund.cents, refund.currency)}
    if refund.second_person_for:
        return gettext("%(reference)s over %(amount)s is proposed. A lead other than you has to approve it.") % told
    return gettext("%(reference)s over %(amount)s is proposed. A lead has to approve it.") % told


def approve(refund: Refund, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    if not decisions.approve(refund, by=by, at=at):
        return None
    told = {"reference": refund.reference, "amount": money(refund.cents, refund.currency)}
    refund.refresh_from_db()
    if paying.is_paid_by_staff(refund):
        return (
            gettext(
                "%(reference)s over %(amount)s is approved. Pay it in the payment system now, and then say so here: "
                "the owner is told, and the subscription ended, when you have."
            )
            % told
        )
    return (
        gettext("%(reference)s over %(amount)s is approved: it is paid, and the subscription ended, within a minute.")
        % told
    )


def say_paid(refund: Refund, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    if not paying.say_paid(refund, payment_reference=values["payment_reference"], by=by, at=at):
        return None
    return gettext("%(amount)s are paid back (%(reference)s). The owner is told, and the subscription ends.") % {
        "reference": refund.reference,
        "amount": money(refund.cents, refund.currency),
    }


def decline(refund: Refund, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return (
        gettext("The refund is declined. Please answer the request.")
        if decisions.decline(refund, by=by, at=at)
        else None
    )


ACTIONS = (
    Act(
        "propose_refund",
        _("Propose a refund"),
        Subscription,
        roles.ANSWER,
        propose,
        account_of=of_subscription,
        # Not for direct ones alone: for the others it says whose money it is, and how to get it back.
        offered=lambda found, at: found.started_at <= at and (found.cents > 0 or found.channel in PAID_ELSEWHERE),
        form=ProposeForm,
    ),
    Act(
        "approve_refund",
        _("Approve the refund"),
        Refund,
        roles.REFUND,
        approve,
        account_of=_of_refund,
        offered=_is_undecided,
        is_grave=True,
    ),
    Act(
        "say_paid",
        _("I have paid it in our payment system"),
        Refund,
        roles.REFUND,
        say_paid,
        account_of=_of_refund,
        offered=_waits_for_payment,
        form=PaidForm,
    ),
    Act(
        "decline_refund",
        _("Decline the refund"),
        Refund,
        roles.REFUND,
        decline,
        account_of=_of_refund,
        offered=_is_undecided,
    ),
)
