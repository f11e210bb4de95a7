"""What staff can do to accounts and holds at the support desk. Declared in `accounts.extension`."""

import uuid
from datetime import datetime, timedelta

from django import forms
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import clock, foreign_input, roles
from accounts.core.form_fields import AddressField, InstantField, NameField
from accounts.core.formats import brief
from accounts.core.refusal import Refused
from accounts.customers.account import Account
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.desk.account_opening import open_for
from accounts.desk.actions.action import Act, ActForm, Values
from accounts.desk.actions.fields import IdentityField
from accounts.erasure import holds
from accounts.erasure.holds import Hold
from accounts.support import ownership

#: A hold is for a case that somebody works on; longer ones are set again, and so looked at again.
LONGEST_HOLD = timedelta(days=365)


def itself(account: Account) -> uuid.UUID:
    """The account that an act on an account is about."""
    return account.pk


def _of_hold(hold: Hold) -> uuid.UUID:
    return hold.account_id


def _is_current(hold: Hold, at: datetime) -> bool:
    return hold.released_at is None and hold.until > at


class HandOverActForm(ActForm):
    new_owner = AddressField(
        label=_("Email address of the new owner"), help_text=_("Somebody who signs in with this address already.")
    )
    stays = forms.BooleanField(label=_("The old owner stays as an administrator"), required=False, initial=True)
    identity = IdentityField()

    def clean_new_owner(self) -> User:
        user = User.objects.filter(email=self.cleaned_data["new_owner"]).first()
        if user is None:
            raise forms.ValidationError(_("Nobody signs in with this address. Ask the new owner to be invited first."))
        return user


class HoldForm(ActForm):
    until = InstantField(label=_("Until"))

    def clean_until(self) -> datetime:
        until: datetime = self.cleaned_data["until"]
        at = clock.now()
        if not at < until <= at + LONGEST_HOLD:
            raise forms.ValidationError(_("A hold ends in the future, and within a year. Set it again if need be."))
        return until


def hand_over(account: Account, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    new_owner: User = values["new_owner"]
    changed = ownership.hand_over(
        account, to=new_owner, stays=values["stays"], identity=values["identity"], by=by, at=at
    )
    return gettext("%(who)s is the owner now.") % {"who": new_owner} if changed else None


def set_hold(account: Account, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    try:
        hold = holds.set_hold(account, reason=values["reason"], until=values["until"], at=at, by=by)
    except Account.DoesNotExist as error:
        raise Refused(_("Nothing is left to be held: the account has been erased.")) from error
    if hold.needs_confirmation(at):
        return gettext(
            "The data is to be held until %(until)s. That is beyond a legal deadline: "
            "it has no effect until a second person confirms it."
        ) % {"until": brief(hold.until)}
    return gettext("The data is held until %(until)s.") % {"until": brief(hold.until)}


def confirm_hold(hold: Hold, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The hold is confirmed.") if holds.confirm_hold(hold, at=at, by=by) else None


def release_hold(hold: Hold, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The hold is released.") if holds.release_hold(hold, at=at, by=by) else None


class OpenAccountForm(ActForm):
    name = NameField(label=_("Name"), limit=Account._meta.get_field("name").max_length or 0)
    owner = AddressField(
        label=_("Email address of the owner"), help_text=_("Who is new here is mailed a link to choose a password.")
    )
    external_id = NameField(
        label=_("External id"),
        limit=foreign_input.MAX_EXTERNAL_ID,
        required=False,
        help_text=_("What your own systems call the account; may stay empty."),
    )


def open_account(row: None, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    account, is_new = open_for(values["name"], values["owner"], external_id=values["external_id"] or None, by=by, at=at)
    return gettext("The account %(account)s is open.") % {"account": account} if is_new else None


ACTIONS = (
    Act(
        "open_account",
        _("Open an account"),
        Account,
        roles.OPEN,
        open_account,
        account_of=lambda row: row.pk if row else None,
        form=OpenAccountForm,
        makes=True,
        leads_to=lambda row: reverse("admin:accounts_account_changelist"),
    ),
    Act(
        "hand_over",
        _("Hand over ownership"),
        Account,
        roles.HAND_OVER,
        hand_over,
        account_of=itself,
        offered=lambda account, at: account.purging_at is None,
        form=HandOverActForm,
    ),
    Act("hold", _("Hold data"), Account, roles.HOLD, set_hold, account_of=itself, form=HoldForm, in_bulk=True),
    Act(
        "confirm_hold",
        _("Confirm as the second person"),
        Hold,
        roles.HOLD,
        confirm_hold,
        account_of=_of_hold,
        offered=lambda hold, at: hold.confirmed_at is None and _is_current(hold, at),
    ),
    Act(
        "release_hold",
        _("Release"),
        Hold,
        roles.HOLD,
        release_hold,
        account_of=_of_hold,
        in_bulk=True,
        offered=lambda hold, at: _is_current(hold, at),
    ),
)
