"""Setting up the second factor: django-allauth's page. Whoever has just typed a code of the new one has used it."""

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.views import ActivateTOTPView
from django.http import HttpRequest, HttpResponse

from accounts.customers.user import User


class _Activate(ActivateTOTPView):  # type: ignore[misc]  # allauth has no types
    def form_valid(self, form: Any) -> HttpResponse:
        """The code was right: the factor is set up, and used, so the support desk does not ask for it once more."""
        answer: HttpResponse = super().form_valid(form)
        request: HttpRequest = self.request
        # As fresh a proof as any: the page that comes next shows the recovery codes.
        proof = {"type": Authenticator.Type.TOTP, "reauthenticated": True}
        record_authentication(request, User.signed_in(request.user), "mfa", **proof)
        return answer


activate_second_factor = _Activate.as_view()
