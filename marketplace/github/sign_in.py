"""Sign-in with GitHub: what Offboard asks of django-allauth.

allauth would store a token as plain text; it is told not to, and the token is kept encrypted here instead. It would
also take any address for a sign-in; here it is one that GitHub says is verified, or none.
"""

from datetime import timedelta
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import AuthProcess
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.core import clock, foreign_input
from accounts.customers.user import MAX_PERSON_NAME
from accounts.models import User
from accounts.signing_in import addresses
from accounts.signing_in.fresh_proof import JUST_NOW, is_fresh
from marketplace.github import authorisation
from marketplace.github.linking import link_newcomer
from marketplace.github.tokens import keep

#: How long it may take to come back from GitHub: whoever is sent there has proven just before who they are.
CONNECTED_WITHIN = JUST_NOW + timedelta(minutes=15)


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
        """Keep the fresh token of somebody we know; of somebody new, see that they come with a proven address.

        Somebody known signs in again, or connects GitHub while signed in, for which the sign-in must be fresh.
        """
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            user = User.signed_in(request.user) if request.user.is_authenticated else None
            if user and not is_fresh(request, CONNECTED_WITHIN):
                raise ImmediateHttpResponse(_too_late(request))
            if user and (not sociallogin.is_existing or sociallogin.user == user):
                _keep(user, sociallogin)
        elif sociallogin.is_existing:
            _keep(sociallogin.user, sociallogin)
        else:
            _with_a_proven_address(request, sociallogin)

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Keep the token of somebody new."""
        user: User = super().save_user(request, sociallogin, form)
        _keep(user, sociallogin)
        return user

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        user.name = foreign_input.name_told(data.get("name") or data.get("username"), limit=MAX_PERSON_NAME)
        return user


def _with_a_proven_address(request: HttpRequest, sociallogin: Any) -> None:
    """Have somebody new come with the address that GitHub says is verified, and with no other.

    An address that they typed, or that GitHub has not verified, may be anybody's: it never becomes a sign-in. One by
    which somebody signs in here already is that person's, who can connect GitHub. Raises `ImmediateHttpResponse`.
    """
    for address in sociallogin.email_addresses:
        address.email = foreign_input.address_or_nothing(address.email)
    verified = [address for address in sociallogin.email_addresses if address.verified and address.email]
    # GitHub's order: the primary one first.
    chosen = next((address for address in verified if address.primary), next(iter(verified), None))
    if chosen is None:
        raise ImmediateHttpResponse(
            _refusal(
                request,
                _("GitHub knows no confirmed address of yours"),
                _("Please confirm an email address in your settings at GitHub, then sign in with GitHub again."),
            )
        )
    if addresses.is_taken(chosen.email):
        raise ImmediateHttpResponse(
            _refusal(
                request,
                _("You sign in here already"),
                _(
                    "Somebody signs in here with your address %(address)s. If that is you, sign in with your password, "
                    "or set a new one, and then connect GitHub."
                )
                % {"address": chosen.email},
            )
        )
    addresses.forget_claims(chosen.email)
    sociallogin.email_addresses = [chosen]
    sociallogin.user.email = chosen.email


def _too_late(request: HttpRequest) -> HttpResponse:
    return _refusal(
        request,
        _("That took too long"),
        _("GitHub was not connected: you signed in here too long ago. Please try again."),
    )


def _refusal(request: HttpRequest, title: str, message: str) -> HttpResponse:
    return render(request, "error.html", {"title": title, "message": message}, status=409)


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
