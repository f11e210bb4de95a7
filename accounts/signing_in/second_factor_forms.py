"""The forms of the second factor, in our words. Apart from `second_factor`, which allauth's own forms import."""

from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm

from accounts.signing_in.sign_in_form import InOurWords


class CodeForm(InOurWords, AuthenticateForm):  # type: ignore[misc]  # allauth has no types
    """A code at sign-in."""


class CodeAgainForm(InOurWords, ReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    """A code as fresh proof."""


class FirstCodeForm(InOurWords, ActivateTOTPForm):  # type: ignore[misc]  # allauth has no types
    """The first code of an authenticator app."""
