"""The forms of this app's pages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import time_zones
from accounts.core.form_fields import AddressField, LongTextField, NameField
from accounts.customers.account import MAX_ACCOUNT_NAME, Membership
from accounts.customers.user import MAX_PERSON_NAME, User
from accounts.people.invitation import ROLES
from accounts.support.requests import MAX_MESSAGE, OWNER_ONLY, RequestKind


class SupportForm(forms.Form):
    """A request. Members ask something; what only the owner may ask for is offered to the owner alone.

    Nothing is chosen for anybody: whoever sends an empty form asks for no money.
    """

    # An owner may ask for a refund or for deletion without a word; the browser must not insist.
    use_required_attribute = False

    kind = forms.ChoiceField(label=_("What is it about?"))
    message = LongTextField(label=_("Your message"), limit=MAX_MESSAGE, required=False)

    def __init__(self, *args: Any, is_owner: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(kind.value, kind.label) for kind in RequestKind if is_owner or kind not in OWNER_ONLY]
        only_one = len(kinds) == 1
        self.fields["kind"] = forms.ChoiceField(
            label=_("What is it about?"),
            choices=kinds if only_one else [("", _("Please choose")), *kinds],
            error_messages={"invalid_choice": _("Only the owner of the account can ask for this.")},
        )
        if only_one:
            self.initial["kind"] = kinds[0][0]
        chosen = self.data.get("kind") if self.is_bound else self.initial.get("kind")
        message = self.fields["message"]
        message.required = chosen not in OWNER_ONLY
        message.error_messages["required"] = _("Please write what it is about.")


class FurtherMessageForm(forms.Form):
    """More about a request that is open. Several of them stand on one page, so each has ids of its own."""

    text = LongTextField(label=_("Add to this request"), limit=MAX_MESSAGE, rows=3)

    def __init__(self, reference: str, posted: Mapping[str, str] | None = None) -> None:
        super().__init__(posted, auto_id=f"{reference}-%s")


_ROLES = [(role.value, role.label) for role in ROLES]


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = AddressField(label=_("Email address"), widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    role = forms.ChoiceField(
        label=_("Role"), choices=_ROLES, help_text=_("Administrators invite, remove and change the roles of others.")
    )


class RoleForm(forms.Form):
    """The role of one member. Several of them stand on one page, so each has ids of its own."""

    role = forms.ChoiceField(label=_("Role"), choices=_ROLES)

    def __init__(self, *args: Any, prefix_ids: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "auto_id": f"member-{prefix_ids}-%s"})


class _MemberField(forms.ModelChoiceField):  # type: ignore[type-arg]  # not subscriptable at run time
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.user.name} ({obj.user.email})" if obj.user.name else str(obj.user.email)


class HandOverForm(forms.Form):
    """To which member an account is offered, and whether its owner remains."""

    def __init__(self, others: "QuerySet[Membership]", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_owner"] = _MemberField(others, label=_("New owner"), empty_label=_("Please choose"))
        self.fields["stays"] = forms.TypedChoiceField(
            label=_("And you?"),
            choices=[("yes", _("Stay as an administrator")), ("no", _("Leave the account"))],
            coerce=lambda value: value == "yes",
        )


class NewcomerForm(forms.Form):
    """A new person whose address is proven already."""

    name = NameField(
        label=_("Your name"), limit=MAX_PERSON_NAME, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    password = forms.CharField(
        label=_("Password"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, email: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        if cleaned.get("password"):
            try:
                validate_password(cleaned["password"], User(email=self.email, name=cleaned.get("name", "")))
            except ValidationError as error:
                self.add_error("password", error)
        return cleaned


class SignUpForm(forms.Form):
    """The address that a new person will sign in with."""

    email = AddressField(label=_("Email address"), widget=forms.EmailInput(attrs={"autocomplete": "email"}))


class FinishSignUpForm(NewcomerForm):
    """A new person, and an account of their own."""

    account_name = NameField(
        label=_("Name of the account"),
        limit=MAX_ACCOUNT_NAME,
        help_text=_("Your company or team, as your colleagues know it."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )

    field_order = ("name", "account_name", "password")


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    name = NameField(label=_("Name"), limit=MAX_PERSON_NAME, required=False)
    time_zone = forms.ChoiceField(label=_("Time zone"), required=False)

    class Meta:
        model = User
        fields = ["name", "language", "time_zone"]

    def __init__(self, *args: Any, at: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user: User = self.instance
        told = user.browser_time_zone
        empty = gettext("As my browser says: %(zone)s") % {"zone": time_zones.place(told)} if told else ""
        groups: list[Any] = [("", empty or gettext("As my browser says")), *time_zones.offered(at)]
        chosen = time_zones.canonical(user.time_zone)
        if chosen and not time_zones.is_offered(chosen):
            # Such as `Etc/GMT+5`, which another system told: it stays until something else is chosen.
            groups.insert(1, (chosen, chosen))
        self.initial["time_zone"] = chosen
        self.fields["time_zone"].choices = groups  # type: ignore[attr-defined]  # a ChoiceField
