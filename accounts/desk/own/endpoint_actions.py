"""What staff can do about endpoints: make them, change them, give them new secrets, test them, switch them off and on,
and have messages sent again. Declared in `accounts.extension`.
"""

from datetime import datetime
from typing import Any

from django import forms
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.core.form_fields import InstantField, NameField
from accounts.customers.history import Actor
from accounts.desk.actions.action import Act, ActForm, PlainForm, Values
from accounts.events import managing, replaying
from accounts.events.dispatch import Dispatch
from accounts.events.endpoint import MAX_ADDRESS, MAX_NAME, Endpoint, OffReason
from accounts.events.message_type import TYPES
from accounts.outgoing.signing import make_secret


class SecretField(NameField):
    """A new secret, made for this page: whoever sees it gives it to the receiver. Nobody can read it again later."""

    def __init__(self) -> None:
        super().__init__(
            limit=100,
            label=_("Secret"),
            initial=make_secret,
            required=False,
            help_text=_(
                "Give it to the receiver now: it is not shown again. Or write one of your own here: “whsec_” and 24 to "
                "64 random bytes in base64."
            ),
        )


class TypesField(forms.MultipleChoiceField):
    """Which types of messages are heard. None stands for all of them."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self) -> None:
        super().__init__(
            label=_("Types"),
            choices=lambda: [(kind.name, kind.name) for kind in TYPES.all()],
            required=False,
            help_text=_("What it hears. None chosen: everything, and types that come later."),
        )


class EndpointForm(ActForm):
    name = NameField(label=_("Name"), limit=MAX_NAME, help_text=_("Of the system that listens there."))
    address = NameField(
        label=_("Address"),
        limit=MAX_ADDRESS,
        help_text=_(
            "https://…; http:// and private networks only where your operators have opened them "
            "(OUTGOING_ALLOWED_NETWORKS)."
        ),
    )
    types = TypesField()


class NewEndpointForm(EndpointForm):
    secret = SecretField()


class ChangeEndpointForm(EndpointForm):
    def __init__(self, *args: Any, row: Endpoint | None = None, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        if row is not None:
            for name in ("name", "address", "types"):
                self.fields[name].initial = getattr(row, name)


class RotateForm(ActForm):
    secret = SecretField()


class RangeForm(ActForm):
    since = InstantField(label=_("Published from"))
    until = InstantField(label=_("Until"))
    undelivered = forms.BooleanField(label=_("Only what it has not got"), required=False, initial=True)


def make(row: None, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    managing.make(values["name"], values["address"], values["types"], by=by, at=at, secret=values["secret"])
    return gettext("The endpoint is made, and hears what happens from now on. Test it next.")


def change(endpoint: Endpoint, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Name, address, types. What waits goes to the new address."""
    changed = managing.change(
        endpoint, name=values["name"], address=values["address"], types=values["types"], by=by, at=at
    )
    return gettext("The endpoint is changed.") if changed else None


def rotate(endpoint: Endpoint, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """A new secret; for a day the one before signs, too."""
    managing.rotate(endpoint, secret=values["secret"], by=by, at=at)
    return gettext("The new secret signs from now on. For 24 hours the one before signs, too.")


def test(endpoint: Endpoint, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Send `endpoint.test` once, within seconds."""
    managing.test(endpoint, by=by, at=at)
    return gettext("A test goes out within seconds: look at its answer below.")


def switch_off(endpoint: Endpoint, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Send it nothing; what it is to hear is kept for 30 days."""
    done = managing.switch_off(endpoint, by=by, at=at)
    return gettext("The endpoint is off. What it is to hear is kept for 30 days.") if done else None


def switch_on(endpoint: Endpoint, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Send it what waits, in order, and what is to come."""
    done = managing.switch_on(endpoint, by=by, at=at)
    return gettext("The endpoint is on. What waits goes out now, in order.") if done else None


def remove(endpoint: Endpoint, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Nothing is sent there ever again; its secrets are forgotten."""
    done = managing.remove(endpoint, by=by, at=at)
    return gettext("The endpoint is removed.") if done else None


def replay_range(endpoint: Endpoint, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Send a stretch of time again, in order, under the same ids."""
    count = replaying.replay_range(
        endpoint,
        since=values["since"],
        until=values["until"],
        undelivered=values["undelivered"],
        by=by,
        at=at,
    )
    return _sent_again(count) if count else None


def replay(dispatch: Dispatch, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Send this message again, under the same id."""
    return _sent_again(1) if replaying.replay(dispatch, by=by, at=at) else None


def _sent_again(count: int) -> str:
    said = ngettext("%(count)s message is sent again.", "%(count)s messages are sent again, in order.", count)
    return said % {"count": count}


def endpoint_url(endpoint: Endpoint) -> str:
    """The endpoint's page."""
    return reverse("admin:accounts_endpoint_change", args=[endpoint.pk])


def _nobody(_row: object) -> None:
    """Of no account."""


def _act(name: str, label: Any, carry_out: Any, **options: Any) -> Act:
    offered = options.pop("offered", lambda endpoint, at: True)
    return Act(
        name,
        label,
        Endpoint,
        roles.ENDPOINTS,
        carry_out,
        account_of=_nobody,
        leads_to=endpoint_url,
        offered=lambda endpoint, at: endpoint.removed_at is None and offered(endpoint, at),
        **options,
    )


ACTIONS = (
    Act(
        "make_endpoint",
        _("New endpoint"),
        Endpoint,
        roles.ENDPOINTS,
        make,
        account_of=_nobody,
        form=NewEndpointForm,
        makes=True,
        leads_to=lambda row: reverse("admin:accounts_endpoint_changelist"),
    ),
    _act("test_endpoint", _("Send a test"), test, form=PlainForm),
    _act("change_endpoint", _("Change"), change, form=ChangeEndpointForm),
    _act("rotate_secret", _("New secret"), rotate, form=RotateForm),
    _act("replay_messages", _("Send messages again"), replay_range, form=RangeForm),
    _act(
        "switch_endpoint_off",
        _("Switch off"),
        switch_off,
        offered=lambda endpoint, at: endpoint.off_because != OffReason.STAFF,
    ),
    _act("switch_endpoint_on", _("Switch on"), switch_on, offered=lambda endpoint, at: endpoint.off_at is not None),
    _act("remove_endpoint", _("Remove"), remove, is_grave=True),
    Act(
        "replay_message",
        _("Send again"),
        Dispatch,
        roles.ENDPOINTS,
        replay,
        account_of=lambda dispatch: dispatch.account_id,
        offered=lambda dispatch, at: (
            dispatch.message_id is not None and bool(dispatch.delivered_at or dispatch.given_up_at)
        ),
        in_bulk=True,
        leads_to=lambda dispatch: endpoint_url(dispatch.endpoint),
    ),
)
