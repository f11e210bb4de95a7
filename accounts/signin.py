"""How people sign in: what Offboard asks of django-allauth."""

import logging
import smtplib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People come in through a purchase or an invitation, not through an open form."""
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a sign-in mail at once: its link is a secret, so it is never stored in a row. Failing is said, not hidden."""
        try:
            super().send_mail(template_prefix, email, context)
        except (smtplib.SMTPException, OSError) as error:
            log.error("sign-in mail %s not sent: %s", template_prefix, type(error).__name__)
            messages.error(self.request, _("The mail could not be sent just now. Please try again in a few minutes."))
