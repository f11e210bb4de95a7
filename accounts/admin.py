"""Customers in the support staff's site: to be looked at. Nothing here edits a row: state changes by transitions."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

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


class ReadOnly:
    """Rows are shown, never added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # not subscriptable at run time
    model = Membership
    extra = 0


@admin.register(Account)
class AccountAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "id", "created_at"]
    search_fields = ["name", "memberships__user__email"]
    show_full_result_count = False
    inlines = [MembershipInline]


@admin.register(User)
class UserAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["email", "name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_active"]
    search_fields = ["email", "name"]
    exclude = ["password"]
    show_full_result_count = False


@admin.register(Event)
class EventAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["at", "kind", "account_id", "actor_kind", "actor_id"]
    search_fields = ["=account__id"]
    show_full_result_count = False


@admin.register(Notice)
class NoticeAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["kind", "account", "recipient", "queued_at", "sent_at", "attempts", "last_error"]
    list_filter = [("sent_at", admin.EmptyFieldListFilter)]
    list_select_related = ["account", "recipient"]
    show_full_result_count = False


@admin.register(SupportRequest)
class SupportRequestAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["reference", "kind", "account", "made_at", "due_at", "closed_at"]
    list_filter = ["kind", ("closed_at", admin.EmptyFieldListFilter)]
    list_select_related = ["account"]
    search_fields = ["reference"]
    show_full_result_count = False


@admin.register(SweepRun)
class SweepRunAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "started_at", "finished_at", "handled", "last_error"]


@admin.register(Blueprint)
class BlueprintAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "account", "grid", "changed_at"]
    list_select_related = ["account"]
    exclude = ["components"]
    show_full_result_count = False


@admin.register(CloudConnection)
class CloudConnectionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "provider", "account", "resources_at"]
    list_select_related = ["account"]
    exclude = ["resources"]
    show_full_result_count = False
