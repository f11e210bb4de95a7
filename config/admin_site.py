"""The support staff's site: Django's admin, as a desk.

Sign-in is through the same door as everybody's: a second door would need a second set of locks. Who comes in needs to
be staff, a role (`accounts.core.roles`) and a second factor; whoever is turned away leaves a line in the history.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.branding import brand
from accounts.core import clock, roles
from accounts.desk import pages
from accounts.desk.actions import denied
from accounts.desk.actions.denied import Denied
from accounts.desk.bulk import pages as bulk_pages
from accounts.desk.bulk import start as bulk_start
from accounts.desk.dashboard import page as dashboard
from accounts.signing_in import session

View = Callable[..., HttpResponse]


class OffboardAdmin(AdminSite):
    index_title = _("Support desk")
    # Of its own name: Django's page of one app extends `admin/index.html`, and has none of the dashboard's figures.
    index_template = "admin/desk/dashboard.html"
    site_url = "/"
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register a model, unless it is one of allauth's: they hold tokens and secrets, and would be editable."""
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        ours = [model for model in models if not model.__module__.startswith("allauth.")]
        super().register(ours, admin_class, **options)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page of the desk knows; its head and title name the brand."""
        title = gettext("%(brand)s support") % {"brand": brand.current().name}
        return {**super().each_context(request), "site_title": title, "site_header": title}

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [page for module in (pages, dashboard, bulk_start, bulk_pages) for page in module.urls(self.admin_view)]
        # "View on site" leads to pages of rows for customers, and there are none: not found, instead of an error.
        theirs = [page for page in super().get_urls() if getattr(page, "name", None) != "view_on_site"]
        return [*own, *theirs]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The first page: what is overdue or at risk, who ends, and how many leave and why."""
        shown = dashboard.at(clock.now(), timezone.get_current_timezone())
        return super().index(request, {**shown, **(extra_context or {})})

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this person works at the desk, and has proven it with a second factor."""
        return _works_here(request) and has_second_factor(request)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """A view for staff. Others get 403, staff without a second factor are taken to where they set one up."""
        inner: View = super().admin_view(view, cacheable)

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                if request.user.is_authenticated and not _works_here(request):
                    raise _not_for_you()
                if request.user.is_authenticated and not has_second_factor(request):
                    return _ask_for_second_factor(request)
                if request.user.is_authenticated:
                    session.shorten(request)
                return inner(request, *args, **kwargs)
            except PermissionDenied as refusal:
                denied.note(request, refusal)
                raise

        return guarded

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """Send everybody to the one sign-in page, or on, if they have signed in."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
        if not _works_here(request):
            refusal = _not_for_you()
            denied.note(request, refusal)
            raise refusal
        return redirect("admin:index")

    def password_change(  # type: ignore[override]  # a redirect is as good an answer as a page
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """Passwords are changed where everybody changes theirs."""
        return redirect("account_change_password")


def _works_here(request: HttpRequest) -> bool:
    user = request.user
    return bool(user.is_active and getattr(user, "is_staff", False) and user.has_perm(roles.USE))


def _not_for_you() -> Denied:
    return Denied(gettext("The support desk is for support staff only."), permission=roles.USE)


def has_second_factor(request: HttpRequest) -> bool:
    """Whether the signed-in person has used a second factor in this session, or need not (`STAFF_SECOND_FACTOR`)."""
    if not settings.STAFF_SECOND_FACTOR:
        return True
    used = get_authentication_records(request, request.user)
    return any(record.get("method") == "mfa" for record in used)


def _ask_for_second_factor(request: HttpRequest) -> HttpResponse:
    """To the page where the factor is set up, or used. What was asked for is not done meanwhile."""
    if not is_mfa_enabled(request.user):
        messages.warning(request, gettext("The support desk needs a second factor. Please set one up first."))
        return redirect("mfa_activate_totp")
    target = request.get_full_path() if request.method == "GET" else reverse("admin:index")
    return redirect(reverse("mfa_reauthenticate", query={"next": target}))
