"""The form by which people sign in. Apart from `sign_in`, which allauth's own forms import before they are there."""

from allauth.account.forms import LoginForm

from accounts.core import foreign_input


class SignInForm(LoginForm):  # type: ignore[misc]  # allauth has no types
    def clean_login(self) -> str:
        """The address in the form in which it is kept, in whatever letters and case it was typed."""
        return foreign_input.address_as_kept(str(super().clean_login()))
