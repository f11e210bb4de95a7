"""Customers in the support staff's site: to be looked at. Nothing here edits a row: state changes by transitions."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts import clock, deletion
from accounts.certificates import Certificate
from accounts.export import Export
from accounts.history import Actor
from accounts.holds import Hold
from accounts.models import (
    Account,
    Blueprint,
    CloudConnection,
    Event,
    Membership,
    Notice,
    SupportRequest,
    SweepRun,
    User,
)
from accounts.purge import Purge
from accounts.refusal import Refused


class ReadOnly:
    """Rows are shown, never added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """A list and its rows. Counting all rows of a large table would make every list slow."""

    show_full_result_count = False


class ReadOnlyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # not subscriptable at run time
    """Rows that belong to the one shown."""

    extra = 0


class MembershipInline(ReadOnlyInline):
    model = Membership


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["name", "id", "created_at"]
    search_fields = ["name", "memberships__user__email"]
    inlines = [MembershipInline]


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    list_display = ["email", "name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_active"]
    search_fields = ["email", "name"]
    exclude = ["password"]


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["at", "kind", "account_id", "actor_kind", "actor_id"]
    search_fields = ["=account__id"]


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ["kind", "account", "recipient", "queued_at", "sent_at", "attempts", "last_error"]
    list_filter = [("sent_at", admin.EmptyFieldListFilter)]
    list_select_related = ["account", "recipient"]


@admin.register(SupportRequest)
class SupportRequestAdmin(ReadOnlyAdmin):
    list_display = ["reference", "kind", "account", "made_at", "due_at", "closed_at"]
    list_filter = ["kind", ("closed_at", admin.EmptyFieldListFilter)]
    list_select_related = ["account"]
    search_fields = ["reference"]

    actions = ["approve_deletion"]

    @admin.action(description=_("Approve deletion of the account"))
    def approve_deletion(self, request: HttpRequest, requests: "QuerySet[SupportRequest]") -> None:
        """The second step: schedule the purge after the grace period. Refused for whoever proposed or asked for it."""
        by = Actor.staff(User.signed_in(request.user))
        for found in requests:
            try:
                approved = deletion.approve(found, by=by, at=clock.now())
            except Refused as refused:
                messages.error(request, f"{found}: {refused}")
            else:
                messages.success(
                    request,
                    _("%(request)s is approved; the data is erased from %(due)s on.")
                    % {"request": found, "due": f"{approved.due_at:%Y-%m-%d %H:%M} UTC"},
                )


@admin.register(SweepRun)
class SweepRunAdmin(ReadOnlyAdmin):
    list_display = ["name", "started_at", "finished_at", "handled", "last_error"]


@admin.register(Purge)
class PurgeAdmin(ReadOnlyAdmin):
    list_display = [
        "account_id",
        "cause",
        "due_at",
        "deadline_at",
        "started_at",
        "verified_at",
        "called_off_at",
        "waiting_for",
        "last_error",
    ]
    list_filter = ["cause", ("verified_at", admin.EmptyFieldListFilter), ("called_off_at", admin.EmptyFieldListFilter)]
    search_fields = ["=account_id"]


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ["account_id", "set_by_id", "set_at", "until", "confirmed_by_id", "released_at"]
    search_fields = ["=account_id"]


@admin.register(Certificate)
class CertificateAdmin(ReadOnlyAdmin):
    """The proof that an account was erased: a page to print, and the same as JSON."""

    list_display = ["number", "account_id", "issued_at", "print_page", "json_file"]
    search_fields = ["=account_id"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<int:number>/print/", view(self.printed), name="certificate_print"),
            path("<int:number>/json/", view(self.downloaded), name="certificate_json"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description=_("to print"))
    def print_page(self, certificate: Certificate) -> str:
        return format_html('<a href="{}">{}</a>', reverse("admin:certificate_print", args=[certificate.pk]), _("Page"))

    @admin.display(description=_("as a file"))
    def json_file(self, certificate: Certificate) -> str:
        return format_html('<a href="{}">JSON</a>', reverse("admin:certificate_json", args=[certificate.pk]))

    def printed(self, request: HttpRequest, number: int) -> HttpResponse:
        certificate = self._find(request, number)
        return render(request, "accounts/certificate.html", {"certificate": certificate, "body": certificate.body})

    def downloaded(self, request: HttpRequest, number: int) -> HttpResponse:
        certificate = self._find(request, number)
        disposition = f'attachment; filename="certificate-{number}.json"'
        return HttpResponse(
            certificate.as_json(), content_type="application/json", headers={"Content-Disposition": disposition}
        )

    def _find(self, request: HttpRequest, number: int) -> Certificate:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Certificate, pk=number)


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    list_display = ["account", "asked_at", "finished_at", "expires_at", "size", "attempts", "last_error"]
    # The archive itself is for its owner.
    exclude = ["file", "position"]
    list_select_related = ["account"]


@admin.register(Blueprint)
class BlueprintAdmin(ReadOnlyAdmin):
    list_display = ["name", "account", "grid", "changed_at"]
    list_select_related = ["account"]
    exclude = ["components"]


@admin.register(CloudConnection)
class CloudConnectionAdmin(ReadOnlyAdmin):
    list_display = ["name", "provider", "account", "resources_at"]
    list_select_related = ["account"]
    exclude = ["resources"]
