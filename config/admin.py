"""The support staff's site."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _


class OffboardAdmin(AdminSite):
    """The Django admin without a sign-in of its own: a second door would need a second set of locks."""

    site_title = site_header = _("Offboard support")
    index_title = _("Accounts and their subscriptions")
    site_url = "/"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register a model, unless it is one of allauth's: they hold tokens and secrets, and would be editable."""
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        ours = [model for model in models if not model.__module__.startswith("allauth.")]
        super().register(ours, admin_class, **options)

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """Send the signed-out to the sign-in page; refuse people who are not staff."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied(_("The support desk is for staff only."))
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
