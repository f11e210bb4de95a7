"""The forms by which people sign in and choose passwords, in our words.

Apart from `sign_in`, which allauth's own forms import before they are there.
"""

from typing import Any

from allauth.account.forms import AddEmailForm, ChangePasswordForm, LoginForm, ReauthenticateForm, SetPasswordForm
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input

#: What allauth's fields are called on our pages.
LABELS = {
    "login": _("Email address"),
    "remember": _("Stay signed in"),
    "oldpassword": _("Current password"),
    "password1": _("New password"),
    "password2": _("New password, once more"),
    "password": _("Password"),
    "email": _("Email address"),
    "code": _("Code"),
}


class InOurWords:
    """Labels as elsewhere, and no placeholder that says the label again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():  # type: ignore[attr-defined]  # a form's
            field.label = LABELS.get(name, field.label)
            field.widget.attrs.pop("placeholder", None)


class PasswordChangeForm(InOurWords, ChangePasswordForm):  # type: ignore[misc]  # allauth has no types
    """The password of now, and a new one."""


class PasswordSetForm(InOurWords, SetPasswordForm):  # type: ignore[misc]  # allauth has no types
    """A first password, of whoever came in by another way."""


class PasswordAgainForm(InOurWords, ReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    """The password as fresh proof."""


class NewAddressForm(InOurWords, AddEmailForm):  # type: ignore[misc]  # allauth has no types
    """The address that somebody changes to."""


class SignInForm(InOurWords, LoginForm):  # type: ignore[misc]  # allauth has no types
    def clean_login(self) -> str:
        """The address in the form in which it is kept, in whatever letters and case it was typed."""
        return foreign_input.address_as_kept(str(super().clean_login()))
