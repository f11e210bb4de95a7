"""How people sign in: what Offboard asks of django-allauth."""

import logging
import smtplib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language_from_request
from django.utils.translation import gettext as _

from accounts.core.client_address import client_address, network_of
from accounts.customers.session import note_place
from accounts.customers.user import User

log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People come in through a purchase or an invitation, not through an open form."""
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

    def login(self, request: HttpRequest, user: User) -> None:
        super().login(request, user)
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

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a sign-in mail at once: its link is a secret and never stored in a row. Failing is said, not hidden."""
        try:
            super().send_mail(template_prefix, email, context)
        except (smtplib.SMTPException, OSError) as error:
            log.error("sign-in mail %s not sent: %s", template_prefix, type(error).__name__)
            messages.error(self.request, _("The mail could not be sent just now. Please try again in a few minutes."))
