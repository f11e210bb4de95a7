"""Resetting a password: the way back in, and the end of every other way.

The link proves the address. Whoever else had a way in, by a session left open, by a sign-in at GitHub that they
connected, by a change of address that they began, has none after it. A second factor stays, for a mailbox alone must
not undo it; but not where the address had never been proven before: then whoever set it up was never known to be the
rightful one.
"""

from typing import Any

from allauth.account import app_settings
from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from allauth.account.forms import ResetPasswordKeyForm as AllauthResetPasswordKeyForm
from allauth.account.utils import user_pk_to_url_str
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.shortcuts import redirect

from accounts.core import foreign_input
from accounts.customers.user import User
from accounts.signing_in import addresses, session
from accounts.signing_in.sign_in_form import InOurWords


class ResetPasswordForm(InOurWords, AllauthResetPasswordForm):  # type: ignore[misc]  # allauth has no types
    def clean_email(self) -> str:
        """The link goes to whoever signs in by the address; never to one that somebody has only begun to change to."""
        email: str = super().clean_email()
        self.users = list(User.objects.filter(email=foreign_input.address_as_kept(email), is_active=True))
        return email


class ResetPasswordKeyForm(InOurWords, AllauthResetPasswordKeyForm):  # type: ignore[misc]  # allauth has no types
    def save(self) -> None:
        """Set the new password, once: of several at the same instant the first one counts, the others are too late."""
        with transaction.atomic():
            user = User.objects.select_for_update(no_key=True).get(pk=self.user.pk)
            if not _is_unused(user, self.temp_key):
                raise ImmediateHttpResponse(
                    redirect("account_reset_password_from_key", uidb36=user_pk_to_url_str(user), key=self.temp_key)
                )
            user.set_password(self.cleaned_data["password1"])
            user.save(update_fields=["password"])
            end_other_ways_in(user)


def end_other_ways_in(user: User) -> None:
    """Leave one way in: the address, which has just been proven, and the password."""
    was_claimed = addresses.note_proven(user)
    # The browser that has just set the password knows it; its session is no longer this person's all the same.
    session.end_all(user, but=context.request.session.session_key)
    SocialAccount.objects.filter(user=user).delete()
    if was_claimed:
        Authenticator.objects.filter(user=user).delete()


def _is_unused(user: User, key: str) -> bool:
    generator: Any = app_settings.PASSWORD_RESET_TOKEN_GENERATOR()
    return bool(generator.check_token(user, key))
