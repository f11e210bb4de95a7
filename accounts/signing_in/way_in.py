"""A way in for people who have none yet: the link under which they choose their first password.

The link is made while its mail is written, and stands in no row: it is signed over what it changes (the password, the
address, the last sign-in), so it works once, for three days (`PASSWORD_RESET_TIMEOUT`), and proves the address. Whoever
comes later asks for another one by "Forgot your password?".
"""

from typing import Any

from allauth.account import app_settings
from allauth.account.utils import user_pk_to_url_str
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.urls import reverse

from accounts.customers.user import User


def has_way_in(user: User) -> bool:
    """Whether this person can sign in as things are: by a password, or as somebody at GitHub."""
    return user.has_usable_password() or SocialAccount.objects.filter(user=user).exists()


def link(user: User) -> str:
    """The link under which this person chooses a password. A secret: for a mail to them, or for who runs commands."""
    generator: Any = app_settings.PASSWORD_RESET_TOKEN_GENERATOR()
    key = generator.make_token(user)
    path = reverse("account_reset_password_from_key", kwargs={"uidb36": user_pk_to_url_str(user), "key": key})
    return f"{settings.SITE_URL}{path}"
