"""Sign-in with GitHub: what Offboard asks of django-allauth.

allauth would store a token as plain text; it is told not to, and the token is kept encrypted here instead.
"""

from typing import Any

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from django.http import Http404, HttpRequest

from accounts.core import clock, foreign_input
from accounts.customers.user import MAX_PERSON_NAME
from accounts.models import User
from marketplace.github import authorisation
from marketplace.github.linking import link_newcomer
from marketplace.github.tokens import keep


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Buyers come from GitHub without having been here before."""
        return True

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """Without GITHUB_CLIENT_ID there is no sign-in with GitHub: not found, rather than an error."""
        try:
            return super().get_app(request, provider, client_id)
        except SocialApp.DoesNotExist:
            raise Http404 from None

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Keep the fresh token of somebody we know: signing in again, or connecting GitHub while signed in."""
        if sociallogin.is_existing:
            _keep(sociallogin.user, sociallogin)
        elif isinstance(request.user, User):
            _keep(request.user, sociallogin)

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Keep the token of somebody new."""
        user: User = super().save_user(request, sociallogin, form)
        _keep(user, sociallogin)
        return user

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        user.name = foreign_input.name_told(data.get("name") or data.get("username"), limit=MAX_PERSON_NAME)
        return user


def _keep(user: User, sociallogin: Any) -> None:
    token, account = sociallogin.token, sociallogin.account
    if account.provider != "github" or token is None or not token.token:
        return
    kept = keep(
        user,
        github_user_id=int(account.uid),
        login=foreign_input.name_told(account.extra_data.get("login"), limit=200),
        access=token.token,
        refresh=token.token_secret,
        scopes="",
        expires_at=token.expires_at,
        at=clock.now(),
    )
    authorisation.given_again(user)
    # Whoever bought before ever signing in finds it now.
    link_newcomer(kept, at=clock.now())
