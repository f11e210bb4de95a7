"""The forms of this app's pages."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.core.form_fields import AddressField, NameField
from accounts.customers.user import MAX_PERSON_NAME
from accounts.models import User
from marketplace.aws.registration import MAX_NAME


class JoinForm(forms.Form):
    """A buyer who has not been here before: a person and an account in one step."""

    name = NameField(
        label=_("Your name"), limit=MAX_PERSON_NAME, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    account_name = NameField(
        label=_("Name of the account"),
        limit=MAX_NAME,
        help_text=_("Your company or team, as your colleagues know it."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    email = AddressField(label=_("Email address"), widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    password = forms.CharField(
        label=_("Password"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"])
        if User.objects.filter(email=email).exists():
            raise ValidationError(_("There is a person with this email address already: please sign in instead."))
        return email

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        if cleaned.get("password"):
            person = User(email=cleaned.get("email", ""), name=cleaned.get("name", ""))
            try:
                validate_password(cleaned["password"], person)
            except ValidationError as error:
                self.add_error("password", error)
        return cleaned


class LinkForm(forms.Form):
    """Which account a purchase is linked to: one of the person's own, or a new one."""

    account = forms.UUIDField(required=False)
    name = NameField(label=_("Name of the new account"), limit=MAX_NAME, required=False)
