"""What staff can do to subscriptions at the support desk. Registered by `SubscriptionsConfig.ready`."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from accounts.desk import action, roles
from accounts.desk.action import Act, ActForm, Refused, Values
from accounts.history import Actor
from accounts.templatetags.formats import brief
from subscriptions import cancellation, changing
from subscriptions.cancellation import AlreadyEnded, Cancellation, CannotCancelHere, Reason
from subscriptions.subscription import Channel, Subscription


def register() -> None:
    """Called once, by `SubscriptionsConfig.ready`."""
    action.register(
        Act(
            "cancel",
            _("Cancel on behalf of the owner"),
            Subscription,
            roles.CANCEL,
            cancel,
            account_of=_of_subscription,
            offered=lambda found, at: found.channel == Channel.DIRECT and found.is_live(at) and found.ends_at is None,
            form=CancelForm,
            is_grave=True,
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
        ),
        Act(
            "end_now",
            _("End at once"),
            Subscription,
            roles.END,
            end_now,
            account_of=_of_subscription,
            offered=lambda found, at: found.settled_at is None and found.is_live(at),
            is_grave=True,
        ),
    )


def _of_subscription(subscription: Subscription) -> Any:
    return subscription.account_id


class CancelForm(ActForm):
    why = forms.ChoiceField(
        label=_("The owner's reason"), choices=[("", _("not said")), *Reason.choices], required=False
    )


def cancel(subscription: Subscription, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    try:
        found, new = cancellation.cancel(subscription, by=by, at=at, reason=values["why"])
    except CannotCancelHere as error:
        raise Refused(
            _now("A subscription bought through %(channel)s is not cancelled here.") % {"channel": error.channel.label}
        ) from error
    except AlreadyEnded as error:
        raise Refused(_now("The subscription has ended already.")) from error
    if not new:
        return None
    return _now("%(reference)s: the subscription ends on %(when)s.") % {
        "reference": found.reference,
        "when": brief(found.effective_at),
    }


def keep(found: Cancellation, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    try:
        changed = cancellation.withdraw(found, by=by, at=at)
    except AlreadyEnded as error:
        raise Refused(_now("The subscription has ended already: it can't be kept any more.")) from error
    return _now("The subscription goes on as before.") if changed else None


def end_now(subscription: Subscription, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    changed = changing.end_at_once(subscription, at=at, by=by)
    return _now("The subscription has ended; the account is on Free.") if changed else None
