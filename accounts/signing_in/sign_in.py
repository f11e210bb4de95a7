"""How people sign in: what Offboard asks of django-allauth."""

import logging
import smtplib
from typing import Any
from urllib.parse import quote

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language_from_request
from django.utils.translation import gettext as _

from accounts.branding import letter
from accounts.branding.letter import Reader
from accounts.core import foreign_input, time_zones
from accounts.core.client_address import client_address, network_of
from accounts.customers.user import User
from accounts.signing_in import addresses
from accounts.signing_in.fresh_proof import JUST_NOW, is_fresh
from accounts.signing_in.session import end_all, note_place

log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Not by allauth's form, which keeps addresses before they are proven (`accounts.signing_in.sign_up`)."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Behind our proxies, of whoever asked them; never of the proxy, or limits would count everybody as one."""
        return client_address(request)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """What wrong passwords are counted by: the address that is tried *and* the client that tries it.

        Counting by the address alone would let anybody lock its owner out, from anywhere.
        """
        tried = str(credentials.get("email", "")).lower()
        return f"{network_of(client_address(request))} {tried}"

    def confirm_email(self, request: HttpRequest, email_address: Any) -> bool:
        """The link in a mail was followed: the address is proven. Not if somebody else signs in by it meanwhile."""
        if addresses.is_taken(email_address.email, by_other_than=email_address.user):
            said = _("Somebody else signs in with this address here. Nothing was changed.")
            messages.error(request, said)
            return False
        proven: bool = super().confirm_email(request, email_address)
        return proven

    def is_reauthentication_required(self, *, app: str, **options: Any) -> bool:
        """Whether the password is asked for again; not of who has just signed in and sets up a first factor.

        Once there is a factor, it is changed by whoever proves anew who they are.
        """
        required: bool = super().is_reauthentication_required(app=app, **options)
        is_first = app == "allauth.mfa" and not is_mfa_enabled(self.request.user)
        return required and not (is_first and is_fresh(self.request, JUST_NOW))

    def set_password(self, user: User, password: str) -> None:
        """A new password signs out everywhere else."""
        super().set_password(user, password)
        end_all(user, but=self.request.session.session_key)

    def get_reset_password_from_key_url(self, key: str) -> str:
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return _link(path.replace("UID-KEY", quote(key)))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return _link(reverse("account_confirm_email", args=[emailconfirmation.key]))

    def login(self, request: HttpRequest, user: User) -> None:
        is_first = user.last_login is None
        super().login(request, user)
        told = time_zones.told_by_browser(request.COOKIES.get(time_zones.COOKIE, ""))
        user.note_browser_zone(told, is_first_sign_in=is_first)
        note_place(request, client_address(request))

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Staff begin at the support desk, unless they are customers, too."""
        user = User.signed_in(request.user)
        if user.is_staff and not user.memberships.exists():
            return reverse("admin:index")
        url: str = super().get_login_redirect_url(request)
        return url

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """Note the browser's language, for mails to people who have chosen none."""
        language = get_language_from_request(request)
        if user.browser_language != language:
            user.browser_language = language
            user.save(update_fields=["browser_language"])
        response: HttpResponse = super().post_login(request, user, **kwargs)
        return response

    def clean_email(self, email: str) -> str:
        """The address in the form in which addresses are kept."""
        return foreign_input.address(email)

    def send_notification_mail(
        self, template_prefix: str, user: User, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Tell somebody what has changed about their way in: in their own language, by their name."""
        super().send_notification_mail(template_prefix, user, {**(context or {}), "user": user}, email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a sign-in mail at once: its link is a secret and never stored in a row. Failing is said, not hidden.

        Its template is `<template_prefix>.txt`, a letter like all others (`accounts.branding.letter`); allauth's own
        are not used.
        """
        person = context.get("user")
        reader = Reader(email)
        if isinstance(person, User):
            reader = Reader(email, name=person.name, language=person.language, time_zone=str(person.zone))
        facts = {name: fact for name, fact in _with_links(self.request, context).items() if name != "request"}
        try:
            letter.write(template_prefix, to=reader, **{"email": email, **facts}).send()
        except (smtplib.SMTPException, OSError) as error:
            log.error("sign-in mail %s not sent: %s", template_prefix, type(error).__name__)
            messages.error(self.request, _("The email could not be sent just now. Please try again in a few minutes."))


def _link(path: str) -> str:
    """A link for a mail. Where it leads is for `SITE_URL` to say, never for the request: anybody writes that."""
    return f"{settings.SITE_URL}{path}"


def _with_links(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The same, with what allauth had lead to wherever the request said that it came to."""
    asked = request.build_absolute_uri("/")
    return {
        name: _link(value[len(asked) - 1 :]) if isinstance(value, str) and value.startswith(asked) else value
        for name, value in context.items()
    }
